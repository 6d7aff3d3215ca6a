/**
 * The shapes of `report.json`, `comparison.json` and of a line of `record.ndjson`, from which the `*.schema.json` beside
 * this file are made. Members may be added without notice; readers ignore what they do not
 * know. No report imports this.
 */
import { z } from 'zod';
import { CAUSES, type CauseCode } from '../lib/model/causes.ts';
import { RECORD_VERSION } from '../lib/model/record.ts';
import { COMPARISON_VERSION } from './comparisonJson.ts';
import { REPORT_VERSION } from './json.ts';

const list = <T extends z.ZodType>(item: T) => z.array(item).readonly();
const dictionary = <T extends z.ZodType>(value: T) => z.record(z.string(), value).readonly();

const family = z.enum(['ipv4', 'ipv6']);
const perFamily = z.object({ ipv4: z.string().exactOptional(), ipv6: z.string().exactOptional() });
const level = z.enum(['core', 'extended']);
const status = z.enum(['passed', 'failed', 'inconclusive', 'skipped']);
const STATUSES_AND_ABSENT = [...status.options, 'absent'] as const;
const conformanceClass = z.enum(['underlay', 'mesh-flat', 'mesh-gateway', 'service-peering']);
const milliseconds = z.number().describe('milliseconds');
const timestamp = z.string().describe('RFC 3339');

const subject = z.union([
  z.object({ scope: z.literal('fleet') }),
  z.object({ scope: z.literal('cluster'), cluster: z.string() }),
  z.object({ scope: z.literal('pair'), from: z.string(), to: z.string() }),
]);

const path = z.union([
  z.object({ kind: z.literal('direct') }),
  z.object({ kind: z.literal('via'), hops: list(z.string()).describe('transit clusters in order') }),
  z.object({ kind: z.literal('forbidden') }),
]);

const figures = dictionary(
  // A measurement that failed is not a number, which JSON writes as null.
  z.object({ value: z.number().nullable(), unit: z.string() }),
);

const cause = z
  .enum(Object.keys(CAUSES) as [CauseCode, ...CauseCode[]])
  .describe('why, as a documented code; for failed and inconclusive');

const verdictMembers = {
  reason: z.string().describe('one sentence'),
  cause: cause.exactOptional(),
  expected: z.string().exactOptional(),
  seen: z.string().exactOptional(),
  figures: figures.exactOptional(),
  evidence: list(z.string()).exactOptional().describe('names of the observations that it rests on'),
  reproduce: z
    .object({ at: z.string(), command: z.string() })
    .exactOptional()
    .describe('a command to run at a workload or gateway'),
};

const verdict = z.object({ status, ...verdictMembers });

const caseMembers = {
  id: z.string().describe('<check id>[<subject>]'),
  check: z.string(),
  suite: z.string(),
  title: z.string(),
  level,
  subject,
  variants: list(z.string()),
  dependsOn: list(z.string()).describe('case ids'),
  budgets: dictionary(z.number()).describe('in force, by name'),
  hint: z.string().exactOptional().describe('where to look when it fails'),
  reference: z.string().exactOptional().describe('what says that it must be true'),
  outsideClass: z.literal(true).exactOptional().describe('does not count for the class of the run'),
};

const plannedCase = z.object({
  ...caseMembers,
  expectation: z.object({
    family,
    path: path.exactOptional(),
    configuredPathMtu: z.number().exactOptional(),
    clusters: list(z.string()),
  }),
  judgeVersion: z.number(),
  skip: z.string().exactOptional().describe('why it will not run'),
});

const runSubject = z.object({
  provider: z.string(),
  underlay: z.string(),
  profile: z.string(),
  class: conformanceClass,
  topology: z.enum(['full-mesh', 'hub-and-spoke', 'tree']),
  hub: z.string(),
  clusters: list(z.string()),
  ipFamilies: list(family),
  versions: dictionary(z.string()).describe('as observed'),
  build: z.object({ kind: z.enum(['vendor', 'local']), differs: z.string().exactOptional() }),
  tuning: z.enum(['as-configured', 'fast']),
  remarks: list(z.string())
    .exactOptional()
    .describe('how the technology is configured where a reader has to know'),
  seed: z.string(),
  configuration: dictionary(z.unknown()),
  budgets: dictionary(z.object({ value: z.number(), unit: z.string(), reason: z.string() })),
  changedBudgets: list(z.string()).describe('names of budgets that differ from their default'),
});

const ended = ['completed', 'interrupted', 'deadline', 'bail', 'set-up-failed'] as const;
const teardown = ['clean', 'kept', 'failed'] as const;
const files = list(z.string()).describe('relative to the output folder');

const counts = z.object({
  passed: z.number(),
  failed: z.number(),
  inconclusive: z.number(),
  skipped: z.number(),
});

const usageMembers = {
  cluster: z.string(),
  moment: z
    .enum(['idle', 'load'])
    .describe('after set-up with nothing going on, or over the suite performance'),
  windowMs: milliseconds.describe('milliseconds between the two readings'),
  containers: list(
    z.object({
      namespace: z.string(),
      pod: z.string(),
      container: z.string(),
      part: z.enum(['control plane', 'data plane', 'kubernetes', 'workloads']),
      memoryBytes: z.number().exactOptional().describe('working set at the end'),
      cores: z.number().exactOptional().describe('processors kept busy in between, on average'),
    }),
  ),
  reason: z.string().exactOptional().describe('why there is nothing to be seen'),
};

const stepMembers = {
  step: z.string(),
  cluster: z.string().exactOptional(),
  durationMs: milliseconds,
  detail: z.string().exactOptional().describe('what it waited for, where something says so'),
  failed: z.literal(true).exactOptional(),
};

export const reportSchema = z
  .object({
    v: z.literal(REPORT_VERSION),
    headlines: list(z.string()).describe('class, verdict and what was skipped of the core, of every subject'),
    results: list(
      z.object({
        headline: z.string(),
        subject: runSubject,
        run: z.string(),
        merged: list(z.string()).exactOptional().describe('all run ids, when several runs were merged'),
        startedAt: timestamp,
        durationMs: milliseconds,
        ended: z.enum([...ended, 'unfinished']),
        exitCode: z.number(),
        conformance: z.object({
          class: conformanceClass,
          verdict: z.enum(['conformant', 'partial', 'not conformant']),
          skippedCore: list(z.string()),
        }),
        counts,
        remarks: list(z.string()).describe('what a reader must know before trusting the verdict'),
        failure: z
          .object({ id: z.string(), expected: z.string(), seen: z.string() })
          .exactOptional()
          .describe('the run itself failed: the set-up died, or nothing was executed'),
        error: z.string().exactOptional(),
        phases: list(
          z.object({
            phase: z.string(),
            durationMs: milliseconds,
            detail: z.string().exactOptional(),
            endedMs: milliseconds.exactOptional().describe('milliseconds since the run began'),
            steps: list(
              z.object({
                ...stepMembers,
                endedMs: milliseconds.describe('milliseconds since the run began'),
              }),
            )
              .exactOptional()
              .describe('of the set-up, in the order in which they ended; some go on beside each other'),
          }),
        ),
        teardown: z.enum([...teardown, 'unknown']),
        leftovers: list(z.string()),
        figures: figures.exactOptional().describe('what asking the clusters took'),
        usage: list(z.object(usageMembers))
          .exactOptional()
          .describe('what containers took of their nodes, where that was looked at'),
        diagnostics: list(z.object({ cluster: z.string(), files })),
        cases: list(
          z.object({
            ...caseMembers,
            status,
            ...verdictMembers,
            durationMs: milliseconds,
            reproduceCommand: z.string().exactOptional().describe('to paste on the machine that ran the run'),
            attempts: z
              .number()
              .exactOptional()
              .describe('how often it was observed, when more than once: this machine was too busy before'),
            repeated: z.literal(true).exactOptional().describe('the worse of several results'),
            kept: z.string().exactOptional().describe('why the verdict is the stored one'),
          }),
        ),
      }),
    ).describe('one entry for each subject'),
  })
  .meta({ title: 'report.json of mcnet-conformance' });

const cell = z.union([
  z.object({
    value: z.number().describe('median'),
    low: z.number(),
    high: z.number(),
    samples: z.number().describe('measurements: pairs, clusters, runs'),
    status: status.exactOptional().describe('the worst verdict among the cases that it comes from'),
  }),
  z.object({
    reason: z.string().describe('why it was not measured'),
    none: z.literal(true).exactOptional().describe('the technology does without'),
    status: status.exactOptional(),
  }),
]);

export const comparisonSchema = z
  .object({
    v: z.literal(COMPARISON_VERSION),
    headline: z.string(),
    on: z.string().describe('what all runs have in common'),
    columns: list(
      z.object({
        name: z.string().describe('profile, or profile:variant'),
        heading: z.string().describe('the name, and whose build it is'),
        profile: z.string().exactOptional(),
        class: conformanceClass.exactOptional(),
        verdict: z.enum(['conformant', 'partial', 'not conformant']).exactOptional(),
        build: runSubject.shape.build.exactOptional(),
        runs: list(z.string()).describe('run ids'),
        durationMs: milliseconds,
        exitCodes: list(z.number()),
        counts,
        suites: dictionary(counts),
        versions: dictionary(z.string()).describe('as observed, in which it differs from others'),
        failure: z.string().exactOptional().describe('why the run as a whole came to nothing'),
        cannot: list(z.object({ reason: z.string(), checks: list(z.string()) })).describe(
          'what was skipped, or does not count for its class',
        ),
        remarks: list(z.string()),
      }),
    ),
    groups: list(
      z.object({
        title: z.string(),
        rows: list(
          z.object({
            name: z.string(),
            unit: z.enum(['%', '×', 'ms', 'Mbit/s', 'bytes', 'CPU']).describe('% and ×: of the baseline'),
            better: z.enum(['more', 'less']).exactOptional(),
            cells: list(cell).describe('one for each column, in their order'),
            ahead: list(z.string()).describe(
              'columns than which none is better by more than the spread; empty when nothing can be said',
            ),
            unranked: z.string().exactOptional().describe('why nothing is said'),
          }),
        ),
      }),
    ),
    wrong: list(
      z.object({
        check: z.string(),
        title: z.string(),
        verdicts: dictionary(z.object({ status: z.enum(STATUSES_AND_ABSENT), reason: z.string() })).describe(
          'by column',
        ),
      }),
    ).describe('checks that failed or could not be judged somewhere'),
    remarks: list(z.string()).describe('what must be known before the table is trusted'),
    versions: dictionary(z.string()).describe('as observed, that all have in common'),
  })
  .meta({ title: 'comparison.json of mcnet-conformance' });

const lineMembers = {
  v: z.number().describe(`version of the record, now ${RECORD_VERSION}`),
  seq: z.number(),
  at: timestamp,
  monoMs: milliseconds.describe('milliseconds since the run began, monotonic'),
  run: z.string().describe('run id'),
  prev: z.string().describe('SHA-256 of the line before, hexadecimal; of nothing for the first'),
};

const line = <T extends string, S extends z.core.$ZodLooseShape>(type: T, shape: S) =>
  z.object({ type: z.literal(type), ...shape, ...lineMembers });

/** Kinds differ in what else they say. */
const fault = z.looseObject({ kind: z.string() });

const ranges = z.object({ pods: perFamily, services: perFamily, nodes: perFamily });

export const recordLineSchema = z
  .discriminatedUnion('type', [
    line('run.start', {
      tool: z.string(),
      subject: runSubject,
      addressing: z.object({
        pool: z.string(),
        prefix: z.number(),
        ipv6Pool: z.string(),
        clusters: dictionary(ranges),
        wan: perFamily,
        tunnel: perFamily,
      }),
    }),
    line('plan', {
      cases: list(plannedCase),
      shells: dictionary(z.string()).describe(
        'how a person runs a command there, by east/mcnet/client, or asks the API server, by east',
      ),
      unselected: list(z.string()).exactOptional(),
    }),
    line('phase', { phase: z.string(), durationMs: milliseconds, detail: z.string().exactOptional() }),
    line('phase.step', { phase: z.string(), ...stepMembers }),
    line('step', {
      case: z.string(),
      step: z.string(),
      durationMs: milliseconds,
      detail: z.unknown().exactOptional(),
    }),
    line('observation', {
      case: z.string(),
      attempt: z.number().describe('from 1'),
      observed: z.unknown(),
      durationMs: milliseconds,
    }),
    line('verdict', { case: z.string(), verdict, durationMs: milliseconds }),
    line('fault', {
      case: z.string().exactOptional(),
      fault,
      event: z.enum(['injected', 'held', 'did-not-hold', 'mended']),
    }),
    line('usage', usageMembers),
    line('diagnostic', { cluster: z.string(), files }),
    line('run.end', {
      exitCode: z.number(),
      ended: z.enum(ended),
      error: z.string().exactOptional(),
      teardown: z.enum(teardown),
      leftovers: list(z.string()).exactOptional(),
      figures: figures.exactOptional(),
    }),
  ])
  .meta({ title: 'A line of record.ndjson of mcnet-conformance' });

/** As JSON Schema (draft 2020-12), as it is shipped. */
export const asJsonSchema = (schema: z.ZodType): unknown =>
  z.toJSONSchema(schema, {
    // What may be read: unknown members are no error.
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.readOnly;
    },
  });
