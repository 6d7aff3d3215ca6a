/**
 * Runs side by side: what each technology is worth, costs and cannot do. A pure function of results; console, Markdown
 * and JSON show it.
 */
import type { ConformanceClass } from '../lib/model/cluster.ts';
import type { RunSubject } from '../lib/model/record.ts';
import type { CaseResult, Conformance, RunResults } from '../lib/model/results.ts';
import { compareMeans, median } from '../lib/model/statistics.ts';
import type { ClusterUsage, Moment, Part } from '../lib/model/usage.ts';
import { type Figures, type Status, STATUSES } from '../lib/model/verdict.ts';
import { type Counts, countsOf, remarks, runFailure, skipsByReason, subjectLabel } from './digest.ts';
import { oneLine } from './text.ts';

/** One technology, in one of its variants. */
export interface Entrant {
  /** `istio`, or `istio:multi-network`: unlike all others of the comparison. */
  readonly name: string;
  /** Several runs of the same subject give more samples of every figure; none when it came to none. */
  readonly runs: readonly RunResults[];
  /** Why there is no run. */
  readonly notRun?: string;
}

export interface Comparison {
  /** What all have in common: `kind · wireguard · full-mesh of 2 · ipv4`. */
  readonly on: string;
  readonly columns: readonly Column[];
  readonly groups: readonly RowGroup[];
  /** Checks that failed or could not be judged in one of the columns, in the order of the plan. */
  readonly wrong: readonly WrongCheck[];
  /** What must be known before the table is trusted; one sentence each. */
  readonly remarks: readonly string[];
  /** Versions as observed that all have in common. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Column {
  readonly name: string;
  /** With whose build it is, where that is known: `istio, local build`. */
  readonly heading: string;
  readonly profile?: string;
  readonly class?: ConformanceClass;
  readonly verdict?: Conformance['verdict'];
  readonly build?: RunSubject['build'];
  /** Run ids. */
  readonly runs: readonly string[];
  readonly durationMs: number;
  /** The first that applies, by the contract's order. */
  readonly exitCodes: readonly number[];
  readonly counts: Counts;
  /** By suite. */
  readonly suites: Readonly<Record<string, Counts>>;
  /** Versions as observed in which it differs from others. */
  readonly versions: Readonly<Record<string, string>>;
  /** Why the run as a whole came to nothing. */
  readonly failure?: string;
  readonly cannot: readonly Incapacity[];
  readonly remarks: readonly string[];
}

/** What a technology was not asked or could not do, and why. */
export interface Incapacity {
  readonly reason: string;
  readonly checks: readonly string[];
}

export interface WrongCheck {
  readonly check: string;
  readonly title: string;
  /** By column: the worst verdict; `absent` where the run does not have the check. */
  readonly verdicts: Readonly<
    Record<string, { readonly status: Status | 'absent'; readonly reason: string }>
  >;
}

export interface RowGroup {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** `%` and `×`: of the baseline of the same run. */
export type Unit = '%' | '×' | 'ms' | 'Mbit/s' | 'bytes' | 'CPU';

export interface Row {
  readonly name: string;
  readonly unit: Unit;
  /** Absent: it is there to be known, not to be compared. */
  readonly better?: 'more' | 'less';
  /** One for each column, in their order. */
  readonly cells: readonly Cell[];
  /**
   * Columns than which none is better by more than the spread of the measurements; empty when that holds for all, when
   * too little was measured to tell, or when the runs do not compare.
   */
  readonly ahead: readonly string[];
  /** Why nothing is said of who is ahead. */
  readonly unranked?: string;
}

export type Cell =
  | {
      readonly value: number;
      readonly low: number;
      readonly high: number;
      /** How many measurements: pairs, clusters, runs. */
      readonly samples: number;
      /** The worst verdict among the cases that it comes from. */
      readonly status?: Status;
    }
  | {
      readonly reason: string;
      /** There is nothing to be measured: the technology does without. */
      readonly none?: true;
      readonly status?: Status;
    };

export const isMeasured = (cell: Cell): cell is Extract<Cell, { value: number }> => 'value' in cell;

/** Parts of a name may come from the systems under test. */
const LONGEST_NAME = 80;

/** Column names, in order; rows and sections follow from what was recorded. */
export function compareRuns(given: readonly Entrant[]): Comparison {
  const entrants = given.map(({ name, runs, notRun }): Entrant => ({
    name: oneLine(name, LONGEST_NAME),
    runs,
    ...(notRun !== undefined && { notRun: oneLine(notRun) }),
  }));
  const differences = differencesOf(entrants);
  const table = new Table(entrants, differences.length === 0);
  const measured = entrants.flatMap(({ runs }) => runs);
  const { common, own } = versionsOf(entrants);
  return {
    on: measured[0] ? placeOf(measured[0].subject, differences) : 'nothing was run',
    columns: entrants.map((entrant, index) => columnOf(entrant, entrants, own[index] ?? {})),
    groups: [
      { title: 'Throughput and latency, relative to the underlay in the same run', rows: loadRows(table) },
      { title: 'Time to fail over, and back', rows: drillRows(table) },
      { title: 'Time to be ready', rows: readyRows(table) },
      ...usageGroups(table),
    ].filter(({ rows }) => rows.length > 0),
    wrong: wrongChecks(entrants),
    remarks: [
      ...differences.map(
        (difference) => `Not the same in all runs, so that figures do not compare: ${difference}`,
      ),
      ...remarksOfRuns(entrants),
    ],
    versions: common,
  };
}

/** What must be the same for figures to compare. */
const SAME: Readonly<Record<string, (subject: RunSubject) => string>> = {
  provider: ({ provider }) => provider,
  underlay: ({ underlay }) => underlay,
  topology: ({ topology }) => topology,
  clusters: ({ clusters }) => String(clusters.length),
  'IP families': ({ ipFamilies }) => ipFamilies.join('+'),
  timers: ({ tuning }) => tuning,
  seed: ({ seed }) => seed,
  // What was built here differs from what its vendor offers: its figures say nothing of that.
  build: ({ build }) => buildLabel(build),
  processors: ({ versions }) => versions['processors'] ?? '',
  kernel: ({ versions }) => versions['kernel'] ?? '',
};

/** `provider (none: lab; istio: kind)`. */
function differencesOf(entrants: readonly Entrant[]): string[] {
  // A run that died in set-up has observed no versions, and has no figures either.
  const alive = entrants.flatMap(({ name, runs }) =>
    runs.filter((run) => !diedInSetUp(run)).map(({ subject }) => ({ name, subject })),
  );
  return Object.entries(SAME).flatMap(([what, read]) => {
    const values = Map.groupBy(
      alive.filter(({ subject }) => read(subject) !== ''),
      ({ subject }) => read(subject),
    );
    if (values.size < 2) return [];
    const said = [...values].map(
      ([value, own]) => `${[...new Set(own.map(({ name }) => name))].join(', ')}: ${oneLine(value)}`,
    );
    return [`${what} (${said.join('; ')})`];
  });
}

/** What runs say of themselves, once for all that say it. */
function remarksOfRuns(entrants: readonly Entrant[]): string[] {
  const said = entrants.flatMap(({ name, runs }) =>
    [...new Set(runs.flatMap((run) => remarks(withoutRows(run))))].map((remark) => ({ name, remark })),
  );
  const present = entrants.filter(({ runs }) => runs.length > 0).length;
  return [...Map.groupBy(said, ({ remark }) => remark)].map(([remark, own]) =>
    own.length === present && present > 1 ? remark : `${own.map(({ name }) => name).join(', ')}: ${remark}`,
  );
}

/** The build has a row of its own, and what was kept is nothing to compare. */
const withoutRows = (run: RunResults): RunResults => ({
  ...run,
  subject: { ...run.subject, build: { kind: 'vendor' } },
  teardown: run.teardown === 'kept' ? 'clean' : run.teardown,
});

function placeOf(subject: RunSubject, differences: readonly string[]): string {
  const parts = subjectLabel({ ...subject, profile: '' })
    .split(' · ')
    .filter((part) => part.trim() !== 'profile');
  return differences.length === 0 ? parts.join(' · ') : 'runs that were not made alike';
}

function versionsOf(entrants: readonly Entrant[]): {
  common: Record<string, string>;
  own: Record<string, string>[];
} {
  const all = entrants.map(({ runs }) =>
    Object.fromEntries(
      runs
        .flatMap(({ subject }) => Object.entries(subject.versions))
        .map(([name, version]) => [oneLine(name), oneLine(version)]),
    ),
  );
  const some = all.filter((versions) => Object.keys(versions).length > 0);
  const [first = {}] = some;
  const common = Object.fromEntries(
    Object.entries(first).filter(
      ([name, version]) => some.length > 1 && some.every((versions) => versions[name] === version),
    ),
  );
  const own = all.map((versions) =>
    Object.fromEntries(Object.entries(versions).filter(([name]) => !(name in common))),
  );
  return { common, own };
}

const VERDICTS: readonly Conformance['verdict'][] = ['not conformant', 'partial', 'conformant'];

function columnOf(
  { name, runs, notRun }: Entrant,
  entrants: readonly Entrant[],
  versions: Record<string, string>,
): Column {
  const [first] = runs;
  const cases = runs.filter((run) => !diedInSetUp(run)).flatMap((run) => run.cases);
  const builds = runs.filter((run) => !diedInSetUp(run)).map(({ subject }) => subject.build);
  const build = builds.find(({ kind }) => kind === 'local') ?? builds[0];
  const verdict = VERDICTS.find((one) => runs.some(({ conformance }) => conformance.verdict === one));
  const failure = notRun ?? runs.map(failureOf).find((why) => why !== undefined);
  return {
    name,
    heading: headingOf(name, build),
    ...(first && { profile: oneLine(first.subject.profile), class: first.subject.class }),
    ...(build && { build }),
    ...(verdict && { verdict }),
    runs: runs.map(({ run }) => run),
    durationMs: runs.reduce((sum, { durationMs }) => sum + durationMs, 0),
    exitCodes: runs.map(({ exitCode }) => exitCode),
    counts: countsOf(cases),
    suites: Object.fromEntries(
      [...Map.groupBy(cases, ({ suite }) => suite)].map(([suite, own]) => [suite, countsOf(own)]),
    ),
    versions,
    ...(failure !== undefined && { failure }),
    cannot: incapacitiesOf(runs, entrants),
    remarks: [...new Set(runs.flatMap(remarks))],
  };
}

/** Records of both kinds of builds have it in their names already. */
const headingOf = (name: string, build: Column['build']): string =>
  build === undefined || name.includes(`build ${build.kind}`) ? name : `${name}, ${buildLabel(build)}`;

/** Whose it is, where that was seen. */
function buildLabel({ kind, differs = '' }: RunSubject['build']): string {
  if (kind === 'vendor') return 'vendor build';
  return differs.split('; ').every((sentence) => sentence.includes(': not observed'))
    ? 'build not observed'
    : 'local build';
}

/** It proved nothing, whatever its verdicts say: they are all the same one. */
const diedInSetUp = ({ ended }: RunResults): boolean => ended === 'set-up-failed';

/** Why nothing, or not everything, was measured by a run that did not come to its end. */
function failureOf(results: RunResults): string | undefined {
  if (results.ended === 'interrupted') return 'the run was interrupted';
  if (results.ended === 'unfinished') return 'the record has no end';
  const failure = runFailure(results);
  if (!failure) return undefined;
  return diedInSetUp(results) ? `the set-up failed: ${oneLine(failure.seen)}` : oneLine(failure.seen);
}

function incapacitiesOf(runs: readonly RunResults[], entrants: readonly Entrant[]): Incapacity[] {
  if (runs.length === 0) return [];
  const skips = skipsByReason(runs.flatMap(({ cases }) => cases)).map(({ reason, cases }): Incapacity => ({
    reason,
    checks: [...new Set(cases.map(({ check }) => check))],
  }));
  const own = new Set(runs.flatMap(({ cases }) => cases.map(({ check }) => check)));
  const elsewhere = [
    ...new Set(
      entrants.flatMap((other) => other.runs.flatMap(({ cases }) => cases.map(({ check }) => check))),
    ),
  ];
  const absent = Map.groupBy(
    elsewhere.filter((check) => !own.has(check)),
    (check) => whyAbsent(runs, check),
  );
  return [...skips, ...[...absent].map(([reason, checks]): Incapacity => ({ reason, checks }))];
}

/** A check of another column: a run leaves out what its class does not have, and names what was not selected. */
function whyAbsent(runs: readonly RunResults[], check: string): string {
  const unselected = runs.some(({ conformance }) =>
    conformance.skippedCore.some((entry) => entry.startsWith(`${check}: not selected`)),
  );
  return unselected ? 'not selected' : `does not count for the class ${runs[0]?.subject.class ?? 'unknown'}`;
}

const worstOf = (statuses: readonly Status[]): Status | undefined =>
  STATUSES.find((status) => statuses.includes(status));

function wrongChecks(entrants: readonly Entrant[]): WrongCheck[] {
  const titles = new Map(
    entrants.flatMap(({ runs }) =>
      runs.flatMap(({ cases }) => cases.map(({ check, title }) => [check, title] as const)),
    ),
  );
  return [...titles].flatMap(([check, title]) => {
    const verdicts = Object.fromEntries(
      entrants.map((entrant) => [entrant.name, worstVerdict(entrant, check)] as const),
    );
    const said = Object.values(verdicts).map(({ status }) => status);
    return said.includes('failed') || said.includes('inconclusive') ? [{ check, title, verdicts }] : [];
  });
}

function worstVerdict({ runs, notRun }: Entrant, check: string): WrongCheck['verdicts'][string] {
  const dead = runs.find(diedInSetUp);
  if (dead) return { status: 'absent', reason: failureOf(dead) ?? 'the set-up failed' };
  const [worst] = runs
    .flatMap(({ cases }) => cases.filter((one) => one.check === check))
    .toSorted((a, b) => STATUSES.indexOf(a.verdict.status) - STATUSES.indexOf(b.verdict.status));
  if (worst) return { status: worst.verdict.status, reason: oneLine(worst.verdict.reason) };
  return { status: 'absent', reason: runs.length === 0 ? (notRun ?? 'not run') : whyAbsent(runs, check) };
}

/** Measurements of one column for one row, or why there are none. */
type Measured =
  | { readonly samples: readonly number[]; readonly shown: readonly number[]; readonly status?: Status }
  | Exclude<Cell, { readonly value: number }>;

/** Makes rows, and decides which columns are ahead. */
class Table {
  readonly entrants: readonly Entrant[];
  readonly #comparable: boolean;

  constructor(entrants: readonly Entrant[], comparable: boolean) {
    this.entrants = entrants;
    this.#comparable = comparable;
  }

  /** Ids of checks of a suite, over all columns. */
  checksOf(suite: string): string[] {
    return [
      ...new Set(
        this.entrants.flatMap(({ runs }) =>
          runs.flatMap(({ cases }) => cases.filter((one) => one.suite === suite).map(({ check }) => check)),
        ),
      ),
    ];
  }

  casesOf(check: string): CaseResult[] {
    return this.entrants.flatMap(({ runs }) =>
      runs.flatMap(({ cases }) => cases.filter((one) => one.check === check)),
    );
  }

  /** @param resolution how fine a single measurement is */
  row(
    facts: Pick<Row, 'name' | 'unit' | 'better'> & { readonly resolution?: number },
    measure: (entrant: Entrant) => Measured,
  ): Row {
    const { resolution = 0, ...rest } = facts;
    const all = this.entrants.map((entrant) =>
      entrant.runs.length === 0
        ? { reason: entrant.notRun ?? 'not run' }
        : this.#named(entrant, measure(entrant)),
    );
    return { ...rest, cells: all.map(cellOf), ...this.#rank(facts.better, all, resolution) };
  }

  /** A run that died in set-up says why itself, in place of what each of its cases says. */
  #named({ runs }: Entrant, measured: Measured): Measured {
    const dead = 'samples' in measured ? undefined : runs.find(diedInSetUp);
    return dead ? { reason: failureOf(dead) ?? 'the set-up failed' } : measured;
  }

  #rank(
    better: Row['better'],
    all: readonly Measured[],
    resolution: number,
  ): Pick<Row, 'ahead' | 'unranked'> {
    const names = this.entrants.map(({ name }) => name);
    const measured = all.flatMap((one, index) =>
      'samples' in one ? [{ ...one, name: names[index] as string }] : [],
    );
    if (better === undefined || measured.length < 2) return { ahead: [] };
    if (!this.#comparable) return { ahead: [], unranked: 'the runs were not made alike' };
    const judged = measured.filter(({ status }) => status !== 'inconclusive');
    const known = judged.filter(({ samples }) => samples.length > 1);
    if (known.length < 2) {
      return {
        ahead: [],
        unranked:
          judged.length < 2 ? 'it could not be judged' : 'measured once, so that its spread is unknown',
      };
    }
    const isBetter = (a: readonly number[], b: readonly number[]): boolean =>
      compareMeans(a, b, resolution) === better;
    const ahead = known.filter(({ samples }) => !known.some((other) => isBetter(other.samples, samples)));
    return ahead.length === known.length
      ? { ahead: [], unranked: 'no difference beyond the spread' }
      : { ahead: ahead.map(({ name }) => name) };
  }
}

function cellOf(measured: Measured): Cell {
  if (!('samples' in measured)) return measured;
  const { shown, status } = measured;
  return {
    value: median(shown),
    low: Math.min(...shown),
    high: Math.max(...shown),
    samples: shown.length,
    ...(status && { status }),
  };
}

/** Figures of the cases of a check; each case gives one value or, with its own spread, the ends of it. */
function measureCases(
  { runs }: Entrant,
  check: string,
  read: (figures: Figures) => number | undefined,
  spreadOf: (figures: Figures) => number = () => 0,
): Measured {
  const cases = runs.flatMap((run) => run.cases.filter((one) => one.check === check));
  const [first] = cases;
  if (!first) return { reason: whyAbsent(runs, check) };
  const found = cases.flatMap(({ verdict }) => {
    const value = read(verdict.figures ?? {});
    if (value === undefined || !Number.isFinite(value)) return [];
    return [{ value, spread: spreadOf(verdict.figures ?? {}) }];
  });
  const ran = cases.filter(({ verdict }) => verdict.status !== 'skipped');
  const status = worstOf(ran.map(({ verdict }) => verdict.status));
  if (found.length === 0) {
    const [told = first] = ran.toSorted(
      (a, b) => STATUSES.indexOf(a.verdict.status) - STATUSES.indexOf(b.verdict.status),
    );
    return { reason: reasonOf(told), ...(status && { status }) };
  }
  return {
    shown: found.map(({ value }) => value),
    samples: found.flatMap(({ value, spread }) =>
      spread > 0 ? [value * (1 - spread / 2), value * (1 + spread / 2)] : [value],
    ),
    ...(status && status !== 'passed' && { status }),
  };
}

const reasonOf = ({ check, verdict }: CaseResult): string => {
  if (verdict.status === 'passed') return `${check} gives no such figure`;
  const reason = oneLine(verdict.reason);
  return verdict.status === 'skipped' ? reason : `${check} ${verdict.status}: ${reason}`;
};

const percent = (share: number | undefined): number | undefined => share && 100 * share;

const valueOf = (figures: Figures, name: string): number | undefined => figures[name]?.value;

/** What a figure is compared with in the same case: the slowest of what is named after it. */
function baselineOf(figures: Figures, name: string): number | undefined {
  const values = ['baseline', 'gateway to gateway', 'inside the cluster'].flatMap(
    (what) => valueOf(figures, `${name} ${what}`) ?? [],
  );
  return values.length === 0 ? undefined : Math.max(...values);
}

/** Of everything measured under load that has a baseline in the same run; and the baseline, by which machines differ. */
function loadRows(table: Table): Row[] {
  return table.checksOf('performance').flatMap((check) => {
    const all = table.casesOf(check).map(({ verdict }) => verdict.figures ?? {});
    const names = [...new Set(all.flatMap((figures) => Object.keys(figures)))];
    const what = check.slice(check.indexOf('.') + 1).replaceAll('-', ' ');
    const rate = names.includes('ratio')
      ? [
          table.row({ name: what, unit: '%', better: 'more' }, (entrant) =>
            measureCases(
              entrant,
              check,
              (figures) => percent(valueOf(figures, 'ratio')),
              (figures) => valueOf(figures, 'spread') ?? 0,
            ),
          ),
          table.row({ name: `${what}: the underlay's own`, unit: 'Mbit/s' }, (entrant) =>
            measureCases(entrant, check, (figures) => valueOf(figures, 'baseline')),
          ),
        ]
      : [];
    const times = names.filter((name) => all.some((figures) => baselineOf(figures, name) !== undefined));
    return [
      ...rate,
      ...times.flatMap((name) => [
        table.row({ name: `${what}, ${name}`, unit: '×', better: 'less' }, (entrant) =>
          measureCases(entrant, check, (figures) => {
            const [value, baseline] = [valueOf(figures, name), baselineOf(figures, name)];
            return value === undefined || baseline === undefined ? undefined : value / baseline;
          }),
        ),
        table.row({ name: `${what}, ${name}: the underlay's own`, unit: 'ms' }, (entrant) =>
          measureCases(entrant, check, (figures) => baselineOf(figures, name)),
        ),
      ]),
    ];
  });
}

/** Clients of a drill call 20 times a second. */
const DRILL_RESOLUTION_MS = 50;

/** Of each drill the slower kind of connection, since callers have both. */
function drillRows(table: Table): Row[] {
  return table.checksOf('failover').flatMap((check) => {
    const drill = check.slice(check.indexOf('.') + 1).replaceAll('-', ' ');
    const facts = { unit: 'ms', better: 'less', resolution: DRILL_RESOLUTION_MS } as const;
    const names = table.casesOf(check).flatMap(({ verdict }) => Object.keys(verdict.figures ?? {}));
    return [
      table.row({ name: drill, ...facts }, (entrant) =>
        measureCases(entrant, check, (figures) => {
          const times = Object.entries(figures).filter(([name]) => name.startsWith('recovery'));
          return times.length === 0 ? undefined : Math.max(...times.map(([, { value }]) => value));
        }),
      ),
      ...(names.includes('fail-back')
        ? [
            table.row({ name: `${drill}: back again`, ...facts }, (entrant) =>
              measureCases(entrant, check, (figures) => valueOf(figures, 'fail-back')),
            ),
          ]
        : []),
    ];
  });
}

function readyRows(table: Table): Row[] {
  if (table.entrants.every(({ runs }) => runs.length === 0)) return [];
  const facts = { unit: 'ms', better: 'less' } as const;
  const discovery = table.checksOf('discovery').includes('discovery.new-workload');
  const found = (name: string, figure: string): Row =>
    table.row({ name, ...facts }, (entrant) =>
      measureCases(entrant, 'discovery.new-workload', (figures) => valueOf(figures, figure)),
    );
  return [
    table.row({ name: 'technology installed', ...facts }, (entrant) =>
      measurePhases(entrant, 'install', ({ durationMs }) => durationMs),
    ),
    table.row({ name: 'ready for the first case', ...facts }, (entrant) =>
      measurePhases(entrant, 'intents', ({ endedMs }) => endedMs),
    ),
    ...(discovery
      ? [
          found('new workload known', 'found after, median'),
          found('workload gone, left alone', 'left alone after, median'),
        ]
      : []),
  ];
}

function measurePhases(
  { runs }: Entrant,
  phase: string,
  read: (phase: RunResults['phases'][number]) => number | undefined,
): Measured {
  const values = runs.flatMap(({ phases }) => {
    const found = phases.find((one) => one.phase === phase && one.detail !== 'failed');
    return (found && read(found)) ?? [];
  });
  return values.length === 0
    ? { reason: `the run has no phase "${phase}": it was not set up by this program` }
    : { samples: values, shown: values };
}

const MOMENTS: Readonly<Record<Moment, string>> = { idle: 'idle', load: 'loaded' };
const PLANES: readonly (readonly [Part, string])[] = [
  ['control plane', 'control plane'],
  ['data plane', 'data plane'],
  ['kubernetes', 'Kubernetes, CNI'],
];
/** What a kubelet's looks at a container are worth: it gives whole seconds, over 15 s at least. */
const MEMORY_RESOLUTION = 1e6;
const CPU_RESOLUTION = 0.002;

function usageGroups(table: Table): RowGroup[] {
  const moments = (['idle', 'load'] as const).filter((moment) =>
    table.entrants.some(({ runs }) =>
      runs.some(({ usage = [] }) => usage.some((one) => one.moment === moment)),
    ),
  );
  if (moments.length === 0) return [];
  return (['memory', 'processors'] as const).map((what) => ({
    title: `${what === 'memory' ? 'Memory' : 'Processors'} of each cluster`,
    rows: moments.flatMap((moment) =>
      PLANES.map(([part, name]) =>
        table.row(
          {
            name: `${name}, ${MOMENTS[moment]}`,
            unit: what === 'memory' ? 'bytes' : 'CPU',
            better: 'less',
            resolution: what === 'memory' ? MEMORY_RESOLUTION : CPU_RESOLUTION,
          },
          (entrant) => measureUsage(entrant, moment, part, what),
        ),
      ),
    ),
  }));
}

function measureUsage(
  { runs }: Entrant,
  moment: Moment,
  part: Part,
  what: 'memory' | 'processors',
): Measured {
  const usage = runs.flatMap((run) => (run.usage ?? []).filter((one) => one.moment === moment));
  const [first] = usage;
  if (!first) {
    return {
      reason:
        moment === 'load'
          ? 'the suite performance did not run'
          : 'not looked at: `compare` does, a plain run does not',
    };
  }
  const readable = usage.filter(({ reason }) => reason === undefined);
  if (readable.length === 0) return { reason: oneLine(first.reason ?? 'unknown') };
  const own = readable.map(({ containers }) => containers.filter((one) => one.part === part));
  if (own.every((containers) => containers.length === 0)) return { reason: `it has no ${part}`, none: true };
  const values = own.flatMap((containers) => sumOf(containers, what) ?? []);
  return values.length === 0
    ? { reason: 'the kubelets had not looked at its containers twice' }
    : { samples: values, shown: values };
}

/** Undefined where not one of the containers could be read. */
function sumOf(containers: ClusterUsage['containers'], what: 'memory' | 'processors'): number | undefined {
  const values = containers.flatMap(
    ({ memoryBytes, cores }) => (what === 'memory' ? memoryBytes : cores) ?? [],
  );
  if (values.length === 0 && containers.length > 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0);
}

/** `none, vendor build: underlay, conformant; … · kind · wireguard`; the first line of every format. */
export function comparisonHeadline({ on, columns }: Comparison): string {
  const said = columns.map(
    ({ heading, class: runClass, verdict, failure }) =>
      `${heading}: ${failure === undefined ? `${runClass}, ${verdict}` : 'not measured'}`,
  );
  return `${said.join('; ')} · ${on}`;
}

/** What a reader must know of how rows are compared. */
export const HOW_COMPARED: readonly string[] = [
  'A figure is the range over pairs or clusters (and runs, where there are several), from three on with the median before it. The mark * says that no other column is better by more than the spread of the measurements (Welch, 95 %); without any mark nobody is ahead, or it was measured once only.',
  "Whose build was tested stands beside each name. A local build differs from its vendor's, or nobody could see where it comes from: it is not ranked with vendors' builds.",
  'Throughput and latency are relative to the underlay: between gateways (and, for the latency between pods, inside the cluster where that is slower), right beside it in the same run. What else this machine did meanwhile is in all figures.',
  'A time to fail over is that of the slower kind of connection, new or kept alive.',
  'Memory is the working set. Idle is after set-up; loaded is the mean over the suite performance and some seconds around it, since kubelets look every 10 to 20 s. Processor time is that of containers: what the kernel does on their behalf (eBPF, packet filters, tunnels) is not in it.',
  'What differs from run to run does not show in one run of each: `compare --from` puts the records of several together.',
];
