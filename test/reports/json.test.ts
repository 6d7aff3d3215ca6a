import { readFileSync } from 'node:fs';
import t from 'tap';
import type { z } from 'zod';
import type { RecordEvent } from '../../lib/model/record.ts';
import { type JsonReport, jsonReporter } from '../../reports/json.ts';
import { recordLineSchema, reportSchema } from '../../reports/schemas.ts';
import { SHIPPED_SCHEMAS } from './shipped-schemas.ts';
import {
  eventsOf,
  healthy,
  hostile,
  interrupted,
  ninetyPairs,
  setUpDied,
  slowlySetUp,
  troubled,
} from './support.ts';

/** Whatever the types allow, the schemas allow: the compiler's word, and a line that uses it. */
const asReport = (report: JsonReport): z.input<typeof reportSchema> => report;
const asLine = (event: RecordEvent): z.input<typeof recordLineSchema> => event;

t.test('the schemas that are shipped are those of the source', async (t) => {
  for (const { file, schema } of SHIPPED_SCHEMAS) {
    t.same(
      JSON.parse(readFileSync(file, 'utf8')),
      JSON.parse(JSON.stringify(schema)),
      'else run `node test/reports/shipped-schemas.ts`',
    );
  }
});

t.test('every report has the shape that is documented, and nothing that is not', async (t) => {
  const samples = { healthy, troubled, ninetyPairs, setUpDied, slowlySetUp, interrupted, hostile };
  for (const [name, sample] of Object.entries(samples)) {
    const report = JSON.parse(jsonReporter.render([sample()])) as JsonReport;
    t.same(reportSchema.parse(asReport(report)), report, name);
  }
});

t.test('a report that lacks something, or says what is not known, does not pass', async (t) => {
  const report = JSON.parse(jsonReporter.render([healthy()]));
  t.notOk(reportSchema.safeParse({ ...report, v: 2 }).success);
  t.notOk(reportSchema.safeParse({ ...report, results: [{}] }).success);
  const [first] = report.results;
  first.cases[0].status = 'green';
  t.notOk(reportSchema.safeParse(report).success);
});

t.test('headline, counts and verdicts stand in it', async (t) => {
  const report = JSON.parse(jsonReporter.render([troubled(), healthy()])) as JsonReport;
  t.equal(report.results.length, 2, 'one entry for each subject');
  t.match(
    report.headlines[0],
    /^underlay: not conformant · skipped of the core: encryption\.wire \(2 cases\)/,
  );
  t.equal(report.headlines[1], 'underlay: conformant · nothing of the core was skipped');
  const [results] = report.results;
  t.same(results?.counts, { failed: 2, inconclusive: 3, skipped: 2, passed: 15 });
  const failure = results?.cases.find(({ id }) => id === 'mtu.path[east->west]');
  t.match(failure, {
    status: 'failed',
    cause: 'mtu-black-hole',
    reproduceCommand: /^ip netns exec \S+ ping/,
    hint: /MTU/,
  });
  t.notMatch(failure, { observed: Object }, 'observations stay in the record');
});

t.test('a measurement that failed is null, and a run that died says why', async (t) => {
  const [results] = (JSON.parse(jsonReporter.render([hostile()])) as JsonReport).results;
  const figures = results?.cases.find(({ check }) => check === 'mtu.path')?.figures;
  t.equal(Object.values(figures ?? {})[0]?.value, null);
  const [dead] = (JSON.parse(jsonReporter.render([setUpDied()])) as JsonReport).results;
  t.match(dead?.failure, { id: 'run.set-up[fleet]', seen: /No space left/ });
  t.match(dead?.remarks, [/left behind: network namespace/]);
});

t.test('lines of a record have the shape that is documented', async (t) => {
  const facts = { v: 1, at: '2026-11-22T09:30:00.000Z', run: 'k3x9ab', prev: 'e3b0' };
  const bodies = eventsOf(troubled()).flatMap((event) =>
    event.type === 'run.began' || event.type === 'phase.started' || event.type === 'case.started'
      ? []
      : [event],
  );
  const more: RecordEvent[] = [
    {
      type: 'fault',
      fault: { kind: 'tunnel-down', between: ['east', 'west'] },
      event: 'held',
      ...facts,
      seq: 0,
      monoMs: 1,
    },
    {
      type: 'observation',
      case: 'a.b[fleet]',
      attempt: 1,
      observed: null,
      durationMs: 2,
      ...facts,
      seq: 1,
      monoMs: 2,
    },
    { type: 'diagnostic', cluster: 'east', files: ['east/routes.txt'], ...facts, seq: 2, monoMs: 3 },
    { type: 'run.end', exitCode: 0, ended: 'completed', teardown: 'clean', ...facts, seq: 3, monoMs: 4 },
  ];
  const events = [...bodies.map((body, seq): RecordEvent => ({ ...body, ...facts, seq })), ...more];
  t.same([...new Set(events.map(({ type }) => type))].toSorted(), [
    'diagnostic',
    'fault',
    'observation',
    'phase',
    'plan',
    'run.end',
    'run.start',
    'step',
    'verdict',
  ]);
  for (const event of events) {
    const line: unknown = JSON.parse(JSON.stringify(asLine(event)));
    t.same(recordLineSchema.parse(line), line, event.type);
  }
  t.notOk(
    recordLineSchema.safeParse({ ...facts, seq: 1, monoMs: 1, type: 'verdict', case: 'a.b[fleet]' }).success,
  );
});
