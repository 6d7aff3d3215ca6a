/** Results as real runs give them: healthy, broken in several ways, large, dead in set-up, interrupted. */
import { type Subject, caseId, defaultClusterNames, suiteOf } from '../../lib/model/ids.ts';
import type { Level, Scope } from '../../lib/model/check.ts';
import type { PlannedCase, RunSubject } from '../../lib/model/record.ts';
import type { CaseResult, PhaseResult, PhaseStep, RunEvent, RunResults } from '../../lib/model/results.ts';
import { directedPairs } from '../../lib/model/topology.ts';
import {
  type Figure,
  type Figures,
  type Verdict,
  failed,
  inconclusive,
  passed,
  skipped,
} from '../../lib/model/verdict.ts';
import type { Screen } from '../../reports/console.ts';
import { planOf, specOf } from '../run/support.ts';

interface Sample {
  readonly id: string;
  readonly title: string;
  readonly scope?: Scope;
  readonly level?: Level;
  readonly dependsOn?: string;
  readonly hint?: string;
  readonly figures?: Record<string, Figure>;
  readonly ms?: number;
}

const MTU_HINT =
  'Compare the MTU of the tunnel interfaces at both ends and let ICMP type 3 code 4 (ICMPv6 type 2) pass everywhere';
const ms = (value: number): Figure => ({ value, unit: 'ms' });

const CHECKS: readonly Sample[] = [
  { id: 'addressing.overlap', title: 'No two ranges of the fleet overlap', scope: 'fleet', ms: 1 },
  {
    id: 'reachability.tcp',
    title: 'A workload reaches a workload of the other cluster by TCP',
    hint: 'Look at the routes to the pod range on both gateways, then at the filter of the target',
    figures: { slowest: ms(1.3) },
    ms: 44,
  },
  { id: 'reachability.udp', title: 'Datagrams reach the other cluster and are answered', ms: 41 },
  {
    id: 'reachability.http2',
    title: 'HTTP/2 requests reach the other cluster',
    dependsOn: 'reachability.tcp',
    ms: 52,
  },
  {
    id: 'dns.shared',
    title: 'A shared service resolves and every cluster that shares it answers',
    dependsOn: 'reachability.tcp',
    figures: { calls: { value: 20, unit: 'calls' }, lookup: ms(0.8) },
    ms: 210,
  },
  {
    id: 'dns.latency',
    title: 'Lookups are fast',
    scope: 'cluster',
    figures: { p50: ms(0.31), p95: ms(0.72) },
    hint: 'Look at the DNS server of the cluster: is it running, and can workloads reach it?',
    ms: 640,
  },
  {
    id: 'policy.truth-table',
    title: 'Policies decide every cell of the truth table as intended',
    scope: 'fleet',
    figures: { cells: { value: 324, unit: 'cells' } },
    ms: 3_400,
  },
  {
    id: 'mtu.path',
    title: 'Packets up to the path MTU pass both ways, larger ones are refused out loud',
    dependsOn: 'reachability.tcp',
    hint: MTU_HINT,
    figures: {
      'path MTU there': { value: 1420, unit: 'bytes' },
      'path MTU back': { value: 1420, unit: 'bytes' },
    },
    ms: 1_920,
  },
  {
    id: 'encryption.wire',
    title: 'The wan carries only the tunnel, and nothing of the payload can be read there',
    dependsOn: 'reachability.tcp',
    ms: 1_350,
  },
  {
    id: 'failover.crash',
    title: 'Clients recover in time when every local backend crashes',
    dependsOn: 'dns.shared',
    figures: { 'recovery, new': ms(1_840), 'recovery, kept-alive': ms(2_310), 'fail-back': ms(4_100) },
    ms: 9_200,
  },
  {
    id: 'performance.throughput',
    title: 'TCP throughput is near that between the gateways',
    dependsOn: 'reachability.tcp',
    figures: { throughput: { value: 1_912, unit: 'Mbit/s' }, ratio: { value: 0.94, unit: 'of baseline' } },
    ms: 6_300,
  },
  {
    id: 'performance.latency',
    title: 'Request latency stays near the baseline',
    dependsOn: 'reachability.tcp',
    figures: { p50: ms(0.21), p95: ms(0.44), p99: ms(0.91) },
    ms: 4_100,
  },
];

function subjectsOf(scope: Scope, names: readonly string[]): Subject[] {
  if (scope === 'fleet') return [{ scope }];
  if (scope === 'cluster') return names.map((cluster) => ({ scope, cluster }));
  return directedPairs(names).map((pair) => ({ scope, ...pair }));
}

function plannedOf(names: readonly string[]): PlannedCase[] {
  return CHECKS.flatMap(({ id, title, scope = 'pair', level = 'core', dependsOn, hint }) =>
    subjectsOf(scope, names).map((subject) => ({
      id: caseId(id, subject),
      check: id,
      suite: suiteOf(id),
      title,
      level,
      subject,
      variants: [],
      expectation: { family: 'ipv4', clusters: names },
      dependsOn: dependsOn === undefined ? [] : [caseId(dependsOn, subject)],
      budgets: {},
      judgeVersion: 1,
      hint: hint ?? 'Look at the gateways first',
    })),
  );
}

const SUBJECT: RunSubject = {
  provider: 'lab',
  underlay: 'wireguard',
  profile: 'none',
  class: 'underlay',
  topology: 'full-mesh',
  hub: 'east',
  clusters: ['east', 'west'],
  ipFamilies: ['ipv4'],
  versions: { wireguard: 'kernel 6.1' },
  build: { kind: 'vendor' },
  tuning: 'as-configured',
  seed: 'seed',
  configuration: {},
  budgets: {},
  changedBudgets: [],
};

/** Nothing else than this makes a case differ from healthy; undefined leaves it so. */
type Trouble = (planned: PlannedCase) => Verdict | undefined;

/** A run in which every case passed but those in trouble and those that depend on them. */
export function resultsOf(
  trouble: Trouble = () => undefined,
  changes: Partial<RunResults> & { names?: readonly string[] } = {},
): RunResults {
  const { names = ['east', 'west'], ...rest } = changes;
  const verdicts = new Map<string, Verdict>();
  const cases = plannedOf(names).map((planned, index): CaseResult => {
    const sample = CHECKS.find(({ id }) => id === planned.check) as Sample;
    const blocker = planned.dependsOn.find((id) => !['passed', 'skipped'].includes(verdicts.get(id)!.status));
    const verdict =
      trouble(planned) ??
      (blocker === undefined
        ? passed('As it should be', varied(sample.figures, index))
        : inconclusive('dependency-failed', `${blocker} failed`));
    verdicts.set(planned.id, verdict);
    const ran = verdict.status !== 'skipped' && blocker === undefined;
    return {
      ...planned,
      verdict,
      durationMs: ran ? (sample.ms ?? 0) + (index % 7) : 0,
      ...(verdict.reproduce && {
        reproduceCommand: `ip netns exec mcnet-k3x9ab-${verdict.reproduce.at.replaceAll('/', '-')} ${verdict.reproduce.command}`,
      }),
    };
  });
  const statuses = new Set(cases.map(({ verdict }) => verdict.status));
  const wrong = statuses.has('failed') || statuses.has('inconclusive');
  const skippedCore = Map.groupBy(
    cases.filter(({ verdict }) => verdict.status === 'skipped'),
    ({ check, verdict }) => `${check}: ${verdict.reason}`,
  );
  return {
    subject: { ...SUBJECT, clusters: names },
    run: 'k3x9ab',
    startedAt: '2026-11-22T09:30:00.000Z',
    durationMs: 24_130,
    ended: 'completed',
    exitCode: statuses.has('failed') ? 1 : statuses.has('inconclusive') ? 3 : 0,
    conformance: {
      class: 'underlay',
      verdict: wrong ? 'not conformant' : skippedCore.size > 0 ? 'partial' : 'conformant',
      skippedCore: [...skippedCore].map(([text, { length }]) =>
        length === 1 ? text : `${text} (${length} cases)`,
      ),
    },
    cases,
    phases: [
      { phase: 'machine', durationMs: 46 },
      { phase: 'addressing', durationMs: 4 },
      { phase: 'create', durationMs: 1_210 },
      { phase: 'join', durationMs: 380 },
      { phase: 'install', durationMs: 0 },
      { phase: 'workloads', durationMs: 620 },
      { phase: 'services', durationMs: 90 },
      { phase: 'intents', durationMs: 140 },
      { phase: 'cases', durationMs: 20_900 },
      { phase: 'teardown', durationMs: 870 },
    ],
    teardown: 'clean',
    leftovers: [],
    diagnostics: [],
    recordProblems: [],
    ...rest,
  };
}

/** Measurements differ a little from case to case, those of a packet's size do not. */
function varied(figures: Figures | undefined, index: number): Figures | undefined {
  return (
    figures &&
    Object.fromEntries(
      Object.entries(figures).map(([name, { value, unit }]) => [
        name,
        { value: unit === 'bytes' ? value : value * (1 + (index % 5) / 20), unit },
      ]),
    )
  );
}

const isPair = (subject: Subject, from: string, to: string): boolean =>
  subject.scope === 'pair' && subject.from === from && subject.to === to;

export const blackHole = (at: string, target: string): Verdict =>
  failed('mtu-black-hole', 'Black hole above 1400 bytes', {
    expected: 'packets above the path MTU are answered with ICMP "fragmentation needed"',
    seen: 'packets above 1400 bytes from east to west vanish without a word (interface MTU 1500); a TCP stream stalls at a message of 1401 bytes',
    figures: { 'path MTU there': { value: 1400, unit: 'bytes' } },
    evidence: ['there', 'stream'],
    reproduce: { at: `${at}/mcnet/client`, command: `ping -M do -c 3 -W 1 -s 1373 ${target}` },
  });

export const lost = (at: string, target: string): Verdict =>
  failed('request-lost', 'The target never received the request', {
    expected: 'the nonce comes back from mcnet/echo-1',
    seen: 'silence for 2 s; the target received nothing',
    reproduce: { at: `${at}/mcnet/client`, command: `nc -vz -w 2 ${target} 7000` },
  });

export const healthy = (): RunResults => resultsOf();

/** A failure of each kind: with and without dependants, inconclusive by itself, skipped of the core. */
export const troubled = (): RunResults =>
  resultsOf(({ check, subject }) => {
    if (check === 'mtu.path' && isPair(subject, 'east', 'west')) return blackHole('east', '10.16.0.3');
    if (check === 'dns.shared' && isPair(subject, 'west', 'east')) {
      return failed('local-endpoints-only', 'Only west answers', {
        expected: 'east and west answer within 20 calls',
        seen: 'west answered all 20 calls',
        reproduce: {
          at: 'west/mcnet/client',
          command: 'dig +short @10.24.0.10 echo.mcnet.svc.clusterset.local',
        },
      });
    }
    if (check === 'performance.throughput') {
      return inconclusive('cpu-saturated', 'The CPUs were busy to 98 % while it was measured', {
        expected: 'at least 0.8 of the baseline',
        seen: '0.71 of the baseline, with both CPUs busy',
      });
    }
    if (check === 'encryption.wire') return skipped('needs wan.capture, which nothing in this run offers');
    return undefined;
  });

/** Ten clusters: nobody reaches north, one more pair is broken, and the MTU is wrong from one side. */
export const ninetyPairs = (): RunResults =>
  resultsOf(
    ({ check, subject, id }) => {
      if (subject.scope !== 'pair') return undefined;
      if (check === 'reachability.tcp' && (subject.to === 'north' || id.includes('[c5->c9]'))) {
        return lost(subject.from, '10.32.0.3');
      }
      if (check === 'mtu.path' && subject.from === 'west' && subject.to !== 'north') {
        return blackHole('west', '10.0.0.3');
      }
      if (/^(performance|failover)/.test(check) && !['east', 'west'].includes(subject.from)) {
        return skipped('not sampled');
      }
      return undefined;
    },
    { names: defaultClusterNames(10), durationMs: 84_600 },
  );

export const setUpDied = (): RunResults =>
  resultsOf(
    ({ suite }) =>
      suite === 'addressing'
        ? undefined
        : inconclusive('set-up-failed', 'The set-up died: no room for a bridge'),
    {
      ended: 'set-up-failed',
      exitCode: 2,
      durationMs: 640,
      error:
        '`ip link add mcnet-k3x9ab-br type bridge` ended with 2: RTNETLINK answers: No space left on device',
      phases: [
        { phase: 'machine', durationMs: 46 },
        { phase: 'addressing', durationMs: 4 },
        { phase: 'create', durationMs: 310, detail: 'failed' },
        { phase: 'teardown', durationMs: 120 },
      ],
      teardown: 'failed',
      leftovers: ['network namespace mcnet-k3x9ab-east-gw: Device or resource busy'],
    },
  );

const step = (durationMs: number, endedMs: number, name: string, cluster?: string): PhaseStep => ({
  step: name,
  ...(cluster !== undefined && { cluster }),
  durationMs,
  endedMs,
});

/** Clusters in containers: most of the time goes into the set-up, and its steps say where. */
export const slowlySetUp = (): RunResults => ({
  ...healthy(),
  phases: [
    {
      phase: 'create',
      durationMs: 56_000,
      endedMs: 56_400,
      steps: [
        step(400, 800, 'networks'),
        step(41_000, 41_900, 'kind create cluster', 'east'),
        step(43_000, 43_900, 'kind create cluster', 'west'),
        step(9_000, 52_900, 'images loaded', 'west'),
        step(10_100, 52_000, 'images loaded', 'east'),
        step(900, 56_400, 'routes between nodes and gateway', 'west'),
      ],
    },
    { phase: 'join', durationMs: 3_000, endedMs: 59_400 },
    {
      phase: 'workloads',
      durationMs: 40_000,
      endedMs: 99_400,
      steps: [
        step(12_000, 71_000, 'workload mcnet/echo-1', 'east'),
        step(11_000, 70_000, 'workload mcnet/echo-2', 'east'),
        {
          ...step(38_000, 99_400, 'workload mcnet/client', 'west'),
          detail:
            '26.5 s no node takes it: 0/1 nodes are available; 9.0 s not ready: agent (ContainerCreating)',
        },
      ],
    },
    { phase: 'cases', durationMs: 20_900, endedMs: 120_300 },
  ],
});

export const interrupted = (): RunResults =>
  resultsOf(
    ({ suite }) =>
      ['mtu', 'encryption', 'failover', 'performance'].includes(suite)
        ? inconclusive('deadline-reached', 'The run was interrupted before this case could finish')
        : undefined,
    { ended: 'interrupted', exitCode: 130, durationMs: 7_300 },
  );

/** What a reporter must survive in any text that a system under test gave. */
export const HOSTILE = [
  '\u001B[31mred\u001B[0m',
  '\u001B]8;;https://example.org\u0007link\u001B]8;;\u0007',
  'nul \0 bell \u0007 escape \u001B[2J vertical \u000B delete \u007F c1 \u0085',
  'two ends ]]> of ]]> CDATA',
  '<tag attribute="quoted\'"> & &amp; </testcase>',
  'lone \uD800 and \uDC00 surrogates, \uFFFE \uFFFF, a pair 😀',
  'line\r\nfeeds\n::error::injected\n\u202Ereversed',
].join(' | ');

export const hostile = (length = 0): RunResults => {
  const text = HOSTILE + 'x'.repeat(length);
  const at = { at: `east/${text}`, command: text };
  return resultsOf(
    ({ check }) => {
      if (check === 'mtu.path') {
        return failed('mtu-masked', text, {
          expected: text,
          seen: text,
          reproduce: at,
          figures: { [text]: { value: Number.NaN, unit: text } },
        });
      }
      if (check === 'dns.latency') return inconclusive('probe-failed', text);
      if (check === 'encryption.wire') return skipped(text);
      if (check === 'reachability.udp') return passed(text);
      return undefined;
    },
    { error: text, recordProblems: [text], subject: { ...SUBJECT, versions: { [text]: text } } },
  );
};

/** The events that a living run with these results would have sent. */
export function eventsOf(results: RunResults): RunEvent[] {
  const names = results.subject.clusters;
  const planned = results.cases.map(({ verdict: _v, durationMs: _d, reproduceCommand: _r, ...plan }) => plan);
  let monoMs = 0;
  const at = <E extends object>(event: E, after = 0) => ({ ...event, monoMs: (monoMs += after) });
  const phase = ({ durationMs, steps = [], ...facts }: PhaseResult): RunEvent[] => [
    at({ type: 'phase.started' as const, phase: facts.phase }),
    ...steps.map(({ endedMs: _e, ...step }) =>
      at({ type: 'phase.step' as const, phase: facts.phase, ...step }),
    ),
    at({ type: 'phase' as const, durationMs, ...facts }, durationMs),
  ];
  const isAfter = ({ phase: name }: { phase: string }) => name === 'teardown';
  return [
    at({
      type: 'run.began',
      run: results.run,
      spec: specOf({
        names,
        underlay: 'wireguard',
        providerReason: 'no --context, and the profile needs no Kubernetes',
      }),
      cases: planned,
    }),
    ...results.phases.filter((one) => !isAfter(one)).flatMap(phase),
    at({
      type: 'run.start',
      tool: 'mcnet-conformance 0.1.0',
      subject: results.subject,
      addressing: planOf(names),
    }),
    at({ type: 'plan', cases: planned, shells: {} }),
    ...results.cases.flatMap(({ id, verdict, durationMs }): RunEvent[] => [
      at({ type: 'case.started', case: id }),
      at({ type: 'step', case: id, step: 'exchange', durationMs: durationMs / 2 }),
      at({ type: 'verdict', case: id, verdict, durationMs }, durationMs),
    ]),
    ...results.phases.filter(isAfter).flatMap(phase),
  ];
}

/** A screen that keeps what was written. */
export class PaperScreen implements Screen {
  text = '';

  write(text: string): void {
    this.text += text;
  }

  get lines(): string[] {
    return this.text.split('\n');
  }
}
