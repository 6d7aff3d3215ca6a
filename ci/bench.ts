/**
 * `npm run bench [-- <part>…]`: the figures of the README, measured side by side in one go: several repetitions, median
 * and spread. Parts: start, pack, core, ten, hundred, tables (default: these), and kind, kind-istio, kind-cilium, kind-consul,
 * kind-tables and kind-tables-cilium, which need a Docker engine and what `npm run offline` builds. Needs root for the lab.
 */
import { closeSync, createReadStream, openSync, readFileSync, readSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { $ } from 'zx';
import { governed } from '../fixtures/policy.ts';
import { readSpec } from '../lib/cli/configuration.ts';
import { beginExecution } from '../lib/cli/execution.ts';
import { defineCheck } from '../lib/model/check.ts';
import type { RunSpec } from '../lib/model/spec.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { failed, passed } from '../lib/model/verdict.ts';
import { executeRun } from '../lib/run/execute.ts';
import {
  CELL_TIMEOUT_MS,
  type Flow,
  expectedOfFlow,
  flowsBetween,
  tryFlows,
} from '../suites/support/cells.ts';
import { TECHNOLOGIES, type Technology, joinedByHand } from './byHand.ts';

$.verbose = false;
const BIN = path.resolve('lib/cli/bin.js');

interface Row {
  readonly what: string;
  readonly values: readonly number[];
  readonly unit: string;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

const print = ({ what, values, unit }: Row): void => {
  const figure = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(0));
  const spread =
    values.length > 1 ? ` (${figure(Math.min(...values))} to ${figure(Math.max(...values))})` : '';
  console.log(`| ${what} | ${figure(median(values))} ${unit}${spread} | ${values.length} |`);
};

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await run();
  return (performance.now() - begin) / 1_000;
}

/** `--help` against a bare start of Node, in turn. */
async function start(): Promise<Row[]> {
  const bare: number[] = [];
  const help: number[] = [];
  for (let round = 0; round < 16; round++) {
    const bareRun = 1_000 * (await timed(() => $`node -e 0`));
    const helpRun = 1_000 * (await timed(() => $`node ${BIN} --help`));
    // The first pair warms the caches.
    if (round > 0) {
      bare.push(bareRun);
      help.push(helpRun);
    }
  }
  return [
    { what: 'bare `node` start', values: bare, unit: 'ms' },
    { what: '`--help`', values: help, unit: 'ms' },
    {
      what: '`--help` / bare start',
      values: help.map((value, index) => value / (bare[index] as number)),
      unit: '×',
    },
  ];
}

async function pack(): Promise<Row[]> {
  const { stdout } = await $`npm pack --dry-run --json --ignore-scripts`;
  const described = JSON.parse(stdout) as { size: number }[] | Record<string, { size: number }>;
  const size = Object.values(described)[0]?.size ?? Number.NaN;
  return [{ what: 'packed', values: [size / 1e6], unit: 'MB' }];
}

/** Proportional set size of every process of a run, in MB: shared pages are counted once. */
function memoryOf(run: string): number {
  let kilobytes = 0;
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`MCNET_RUN=${run}`)) continue;
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // It ended while we looked.
    }
  }
  return kilobytes / 1_000;
}

interface RunFigures {
  readonly wall: number;
  readonly setUp: number;
  readonly cleanUp: number;
  readonly memory: number;
}

interface Phase {
  readonly phase: string;
  readonly durationMs: number;
  readonly monoMs: number;
}

/** Line by line: the record of a large fleet is longer than a string may be. */
async function phasesOf(record: string): Promise<Phase[]> {
  const phases: Phase[] = [];
  for await (const line of createInterface({ input: createReadStream(record) })) {
    if (line.includes('"type":"phase"')) phases.push(JSON.parse(line) as Phase);
  }
  return phases;
}

function beginningOf(file: string): string {
  const buffer = Buffer.alloc(4_096);
  const descriptor = openSync(file, 'r');
  try {
    return buffer.toString('utf8', 0, readSync(descriptor, buffer));
  } finally {
    closeSync(descriptor);
  }
}

const CLEAN_UP = 'teardown';
const CASES = 'cases';
const INSTALLATION = 'install';

/** Looking at one process takes a millisecond, which a large fleet would feel too often. */
const LOOK_MS = 2_000;
const LOOK_PER_CLUSTER_MS = 200;

async function lab(args: readonly string[], clusters: number): Promise<RunFigures> {
  const out = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
  const running = $({ nothrow: true })`node ${BIN} --yes --quiet --out ${out} ${args}`;
  let memory = 0;
  let run: string | undefined;
  const watch = setInterval(
    () => {
      try {
        run ??= /"run":"([a-z0-9]{6})"/.exec(beginningOf(path.join(out, 'record.ndjson')))?.[1];
        if (run !== undefined) memory = Math.max(memory, memoryOf(run));
      } catch {
        // No record yet.
      }
    },
    Math.max(LOOK_MS, LOOK_PER_CLUSTER_MS * clusters),
  );
  let exitCode: number | null = null;
  const wall = await timed(async () => ({ exitCode } = await running));
  clearInterval(watch);
  const phases = await phasesOf(path.join(out, 'record.ndjson'));
  rmSync(out, { recursive: true });
  if (exitCode !== 0) throw new Error(`mcnet-conformance ${args.join(' ')} ended with ${exitCode}`);
  const of = (name: string) => phases.find(({ phase }) => phase === name);
  const cases = of(CASES);
  return {
    wall,
    // Phases of the set-up overlap: it lasts until the first case may start.
    setUp: ((cases?.monoMs ?? 0) - (cases?.durationMs ?? 0)) / 1_000,
    cleanUp: (of(CLEAN_UP)?.durationMs ?? 0) / 1_000,
    memory,
  };
}

async function repeat(
  what: string,
  times: number,
  args: readonly string[],
  clusters: number,
): Promise<Row[]> {
  const runs: RunFigures[] = [];
  for (let round = 0; round < times; round++) runs.push(await lab(args, clusters));
  return [
    { what: `${what}: whole run`, values: runs.map(({ wall }) => wall), unit: 's' },
    { what: `${what}: set-up`, values: runs.map(({ setUp }) => setUp), unit: 's' },
    { what: `${what}: clean-up`, values: runs.map(({ cleanUp }) => cleanUp), unit: 's' },
    {
      what: `${what}: set-up per cluster`,
      values: runs.map(({ setUp }) => (1_000 * setUp) / clusters),
      unit: 'ms',
    },
    {
      what: `${what}: memory per cluster (PSS)`,
      values: runs.map(({ memory }) => memory / clusters),
      unit: 'MB',
    },
  ];
}

/** Two clusters by hand and in parallel: networks, `kind create`, the probe loaded, every node Ready; and away again. */
async function rawKind(
  image: string,
  probe: string,
): Promise<{ readonly up: number; readonly down: number }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
  const names = ['mcnet-bench-a', 'mcnet-bench-b'];
  const kubeconfig = (name: string): string => path.join(folder, name);
  const create = async (name: string): Promise<void> => {
    await $`docker network create ${name}`;
    await $({
      env: { ...process.env, KIND_EXPERIMENTAL_DOCKER_NETWORK: name },
    })`kind create cluster --name ${name} --image ${image} --kubeconfig ${kubeconfig(name)} --wait 0s`;
    await $`kind load docker-image ${probe} --name ${name}`;
    await $`kubectl --kubeconfig ${kubeconfig(name)} wait --for=condition=Ready node --all --timeout=300s`;
  };
  const remove = async (name: string): Promise<void> => {
    await $`kind delete cluster --name ${name} --kubeconfig ${kubeconfig(name)}`;
    await $`docker network rm ${name}`;
  };
  try {
    const up = await timed(() => Promise.all(names.map(create)));
    const down = await timed(() => Promise.all(names.map(remove)));
    return { up, down };
  } catch (error) {
    await Promise.all(names.map((name) => remove(name).catch(() => undefined)));
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Creation and removal of two kind clusters, by hand and by the program, in turn. */
async function kind(): Promise<Row[]> {
  const { stdout } = await $`node ${BIN} plan --provider kind --images --json`;
  const images = JSON.parse(stdout) as readonly { readonly name: string; readonly image?: string }[];
  const named = (name: string): string => images.find((image) => image.name === name)?.image ?? '';
  const raw: { readonly up: number; readonly down: number }[] = [];
  const own: { readonly up: number; readonly down: number }[] = [];
  for (let round = 0; round < 3; round++) {
    raw.push(await rawKind(named('node'), named('probe')));
    const out = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
    await $`node ${BIN} --quiet --provider kind --check reachability.tcp --out ${out}`;
    const phases = await phasesOf(path.join(out, 'record.ndjson'));
    rmSync(out, { recursive: true });
    const seconds = (name: string): number =>
      (phases.find(({ phase }) => phase === name)?.durationMs ?? Number.NaN) / 1_000;
    own.push({ up: seconds('create'), down: seconds(CLEAN_UP) });
  }
  return [
    { what: 'two kind clusters by hand: up', values: raw.map(({ up }) => up), unit: 's' },
    { what: 'two kind clusters, created by a run', values: own.map(({ up }) => up), unit: 's' },
    { what: 'two kind clusters by hand: down', values: raw.map(({ down }) => down), unit: 's' },
    {
      what: 'two kind clusters and all else, removed by a run',
      values: own.map(({ down }) => down),
      unit: 's',
    },
  ];
}

const JOINED_ROUNDS = 2;

/** Two clusters that know each other by a technology, by hand and by the program, in turn. */
async function joined(technology: Technology): Promise<Row[]> {
  const raw: number[] = [];
  const own: number[] = [];
  for (let round = 0; round < JOINED_ROUNDS; round++) {
    raw.push(await joinedByHand(technology));
    const out = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
    // A run of which no case is executed fails: this one is, whatever the technology.
    const words = ['--profile', technology, '--underlay', 'direct', '--tuning', 'fast'];
    await $`node ${BIN} --quiet --provider kind ${words} --check versions.skew --out ${out}`;
    const installed = (await phasesOf(path.join(out, 'record.ndjson'))).find(
      ({ phase }) => phase === INSTALLATION,
    );
    own.push((installed?.monoMs ?? Number.NaN) / 1_000);
    rmSync(out, { recursive: true });
  }
  return [
    { what: `two kind clusters joined by ${technology}, by hand`, values: raw, unit: 's' },
    { what: `two kind clusters joined by ${technology}, by a run`, values: own, unit: 's' },
  ];
}

/** Cells of policies' truth tables, as those of a large fleet; so many of a source under way that no target's socket overflows. */
const CELLS = 2_000;
const CELLS_UNDER_WAY = { concurrency: 32 };
const ROUNDS = 5;
/** What got lost is tried again, as the suite does, and takes its time. */
const MOST_TRIES = 3;

/**
 * The truth table of `policy.truth-table` from one cluster to the other, by agents that run already: how many of the cells
 * that its policies allow are tried in a second, and how long the whole table takes once, with all that is refused.
 */
async function tables(words: Pick<RunSpec, 'provider'> & { readonly profile?: string }): Promise<Row[]> {
  const out = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
  const rates: number[] = [];
  const wholes: number[] = [];
  let refused = 0;
  const check = defineCheck({
    id: 'bench.tables',
    title: 'Truth tables of policies',
    level: 'core',
    scope: 'pair',
    exclusive: 'fleet',
    uses: [governed],
    timeoutMs: 120_000,
    withoutFaults: 'It is a measurement',
    hint: 'What else does this machine do?',
    async observe(context) {
      const flows = flowsBetween(context.from, context.to);
      const allowed = flows.filter((flow) => expectedOfFlow(flow, context) === 'allow');
      const denied = flows.filter((flow) => expectedOfFlow(flow, context) === 'deny');
      const many = Array.from({ length: CELLS }, (_, index) => ({
        ...(allowed[index % allowed.length] as Flow),
      }));
      const once = [...allowed, ...denied];
      refused = denied.length;
      const wrong: string[] = [];
      const flowOf = ({ source, target, protocol, port }: Flow): string =>
        `${source.key} to ${target.key} ${protocol} ${port}`;
      for (let round = 0; round <= ROUNDS; round++) {
        let began = performance.now();
        let open: readonly Flow[] = many;
        for (let attempt = 0; open.length > 0 && attempt < MOST_TRIES; attempt++) {
          const tried = await tryFlows(open, context, CELL_TIMEOUT_MS, CELLS_UNDER_WAY);
          open = open.filter((_, index) => tried[index]?.outcome !== 'answered');
        }
        const seconds = (performance.now() - began) / 1_000;
        began = performance.now();
        const table = await tryFlows(once, context);
        const whole = (performance.now() - began) / 1_000;
        wrong.push(
          ...open.map((flow) => `${flowOf(flow)}: lost ${MOST_TRIES} times`),
          ...once.flatMap((flow, index) => {
            const { outcome, durationMs } = table[index] as Exchange;
            return (outcome === 'answered') === index < allowed.length
              ? []
              : [`${flowOf(flow)}: ${outcome}, ${Math.round(durationMs)} ms`];
          }),
        );
        // The first warms up both ends.
        if (round === 0) continue;
        rates.push(CELLS / seconds);
        wholes.push(whole);
      }
      return { wrong };
    },
    judge: ({ wrong }) =>
      wrong.length === 0
        ? passed('all as the policies say')
        : failed('policy-not-enforced', 'not all cells were as the policies say', {
            expected: 'none wrong in any round',
            seen: `${wrong.length}: ${wrong.slice(0, 20).join('; ')}`,
          }),
  });
  const spec: RunSpec = { ...(await readSpec({ ...words, yes: true, quiet: true })), out };
  const { dependencies, interruption } = beginExecution(spec, []);
  try {
    const suites = [{ id: 'bench', title: 'Measurements', checks: [check] }];
    const { results } = await executeRun(spec, { ...dependencies, suites });
    const bad = results.cases.find(({ verdict }) => verdict.status !== 'passed');
    if (bad || results.exitCode !== 0)
      throw new Error(`${spec.profile}: ${bad ? JSON.stringify(bad.verdict) : results.error}`);
  } finally {
    interruption.stop();
    rmSync(out, { recursive: true });
  }
  const where = `${spec.provider}, ${spec.profile}`;
  return [
    { what: `allowed cells of a policy table a second, ${where}`, values: rates, unit: '' },
    {
      what: `policy table once, ${refused} cells refused by silence (time-out ${CELL_TIMEOUT_MS / 1_000} s), ${where}`,
      values: wholes,
      unit: 's',
    },
  ];
}

const PARTS: Record<string, () => Promise<Row[]>> = {
  start,
  pack,
  core: () => repeat('core, 2 clusters', 5, [], 2),
  ten: () => repeat('core, 10 clusters in full mesh', 3, ['--clusters', '10'], 10),
  hundred: () =>
    repeat(
      'addressing, reachability, dns, 100 clusters hub-and-spoke',
      1,
      [
        '--clusters',
        '100',
        '--topology',
        'hub-and-spoke',
        '--suite',
        'addressing',
        '--suite',
        'reachability',
        '--suite',
        'dns',
      ],
      100,
    ),
  tables: () => tables({ provider: 'lab' }),
  kind,
  ...Object.fromEntries(TECHNOLOGIES.map((technology) => [`kind-${technology}`, () => joined(technology)])),
  'kind-tables': () => tables({ provider: 'kind' }),
  'kind-tables-cilium': () => tables({ provider: 'kind', profile: 'cilium' }),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => !(part in PARTS));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
console.log('| figure | median (least to most) | runs |\n| --- | --- | --- |');
const byDefault = Object.keys(PARTS).filter((part) => !part.startsWith('kind'));
for (const part of wanted.length > 0 ? wanted : byDefault) {
  for (const row of await (PARTS[part] as () => Promise<Row[]>)()) print(row);
}
