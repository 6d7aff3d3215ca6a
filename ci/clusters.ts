/**
 * `npm run test:clusters [-- --all | <row>…]`: the program against real clusters, as a user runs it. The smoke is a run
 * without a technology, and one with Istio whose checks must then fail under faults; `--all` is the matrix. Each row must
 * end as expected and leave nothing behind: no container, network, volume or kubeconfig entry. A row that ends without a
 * verdict because this machine was too busy counts as skipped, never as passed. Closes with one counted line.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { $ } from 'zx';
import { type ProofReport, isExcused, unexcusedIn } from './excuses.ts';

$.verbose = false;
const BIN = path.resolve('lib/cli/bin.js');

interface Row {
  readonly name: string;
  readonly args: readonly string[];
  /** What `prove` must catch on the same clusters afterwards. */
  readonly prove?: readonly string[];
  /** Part of the smoke. */
  readonly smoke?: true;
}

const KIND = ['--provider', 'kind'];
/** Drills and figures want more processors than two clusters on a machine of two have; `--all` has them. */
const WITHOUT_DRILLS = ['--skip', 'failover', '--skip', 'performance'];
const CILIUM = [...KIND, '--profile', 'cilium', '--tuning', 'fast'];
const CONSUL = [...KIND, '--profile', 'consul', '--tuning', 'fast'];
const ROWS: readonly Row[] = [
  { name: 'none', args: [...KIND, '--profile', 'none', ...WITHOUT_DRILLS], smoke: true },
  {
    name: 'istio',
    args: [...KIND, '--profile', 'istio', '--tuning', 'fast', ...WITHOUT_DRILLS],
    prove: ['policy.identity', 'mtls.plaintext', 'encryption.wire'].flatMap((check) => ['--check', check]),
    smoke: true,
  },
  { name: 'istio-as-configured', args: [...KIND, '--profile', 'istio'], prove: [] },
  { name: 'none-all', args: [...KIND, '--level', 'all'] },
  { name: 'none-direct', args: [...KIND, '--underlay', 'direct'] },
  { name: 'none-nodes', args: [...KIND, '--nodes', '2'] },
  {
    name: 'none-hub-and-spoke',
    args: [
      ...KIND,
      '--clusters',
      '3',
      '--topology',
      'hub-and-spoke',
      '--skip',
      'failover',
      '--skip',
      'performance',
    ],
  },
  { name: 'istio-multi-network', args: [...KIND, '--profile', 'istio', '--istio-topology', 'multi-network'] },
  {
    name: 'cilium',
    args: CILIUM,
    prove: [
      ...['--level', 'all'],
      ...[
        ...['discovery.status', 'discovery.nodes', 'sharing.spread', 'sharing.mutual', 'sharing.not-offered'],
        ...['policy.newcomers', 'policy.truth-table', 'encryption.wire'],
      ].flatMap((check) => ['--check', check]),
    ],
  },
  {
    name: 'cilium-nodes',
    args: [
      ...[...CILIUM, '--nodes', '2', '--level', 'all'],
      ...['reachability.*', 'discovery.*'].flatMap((check) => ['--check', check]),
      // On the node image that is built here it hangs (README).
      ...['--skip', 'reachability.empty-service'],
    ],
    prove: ['--level', 'all', '--check', 'discovery.nodes', '--check', 'reachability.nodes'],
  },
  {
    name: 'cilium-mcs-api',
    args: [
      ...[...KIND, '--profile', 'cilium', '--cilium-sharing', 'mcs-api', '--level', 'all'],
      ...['dns', 'sharing', 'discovery'].flatMap((suite) => ['--suite', suite]),
    ],
    prove: ['--level', 'all', '--check', 'sharing.conflict', '--check', 'dns.headless'],
  },
  {
    name: 'cilium-vxlan',
    args: [
      ...[...KIND, '--profile', 'cilium', '--cilium-routing', 'vxlan', '--cilium-kube-proxy', 'replaced'],
      ...WITHOUT_DRILLS,
    ],
  },
  // One way: what takes so long takes as long the other.
  {
    name: 'cilium-as-configured',
    args: [
      ...[...KIND, '--profile', 'cilium', '--level', 'all'],
      ...['--check', 'failover.*[east->west]', '--check', 'discovery.nodes'],
    ],
  },
  {
    name: 'cilium-direct',
    args: [...CILIUM, '--underlay', 'direct'],
  },
  {
    name: 'cilium-three-direct',
    args: [...CILIUM, '--clusters', '3', '--underlay', 'direct', ...WITHOUT_DRILLS],
  },
  {
    name: 'cilium-hub-and-spoke',
    args: [...CILIUM, '--clusters', '3', '--topology', 'hub-and-spoke', '--skip', 'performance'],
  },
  {
    name: 'consul',
    args: CONSUL,
    prove: [
      ...['peering.*', 'discovery.*', 'sharing.*', 'policy.identity'],
      ...['mtls.plaintext', 'encryption.handshake', 'dns.*', 'failover.crash'],
    ].flatMap((check) => ['--check', check]),
  },
  { name: 'consul-as-configured', args: [...KIND, '--profile', 'consul'] },
  {
    name: 'consul-remote-gateways',
    args: [
      ...[...CONSUL, '--consul-gateways', 'remote', '--level', 'all'],
      ...['peering', 'discovery', 'mtls', 'policy'].flatMap((suite) => ['--suite', suite]),
      // Four minutes each way, whatever the gateways do.
      ...['--skip', 'peering.cut[west->east]'],
    ],
  },
  {
    name: 'consul-direct',
    args: [
      ...[...CONSUL, '--underlay', 'direct'],
      ...['peering', 'discovery', 'mtls', 'policy', 'sharing', 'dns'].flatMap((suite) => ['--suite', suite]),
    ],
  },
  { name: 'consul-three', args: [...CONSUL, '--clusters', '3', ...WITHOUT_DRILLS] },
  {
    name: 'istio-primary-remote',
    args: [...KIND, '--profile', 'istio', '--istio-topology', 'primary-remote'],
  },
];

type Outcome = 'passed' | 'failed' | 'skipped';

/** Names of what a run has in the engine. */
async function leftovers(run: string): Promise<string[]> {
  const [containers, networks] = await Promise.all([
    $`docker ps --all --format {{.Names}} --filter name=mcnet-${run}`,
    $`docker network ls --format {{.Name}} --filter name=mcnet-${run}`,
  ]);
  return `${containers.stdout}\n${networks.stdout}`.split('\n').filter(Boolean);
}

const volumes = async (): Promise<string[]> =>
  (await $`docker volume ls --quiet --filter dangling=true`).stdout.split('\n').filter(Boolean);

function userKubeconfig(): string {
  const file = process.env['KUBECONFIG'] ?? path.join(homedir(), '.kube', 'config');
  return existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'none';
}

/** Last lines that a run printed, indented. */
const tail = (text: string, lines: number): string =>
  text
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `    ${line}`)
    .join('\n');

/** Exit code of a run, or a proof, that could not judge everything. */
const UNDECIDED = 3;

interface Seen {
  readonly run: string | undefined;
  /** Causes of the cases without a verdict. */
  readonly undecided: readonly string[];
}

function seenIn(out: string): Seen {
  const file = path.join(out, 'record.ndjson');
  if (!existsSync(file)) return { run: undefined, undecided: [] };
  const last = new Map<string, string | undefined>();
  let run: string | undefined;
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
    run = String(entry['run']);
    if (entry['type'] !== 'verdict') continue;
    const { status, cause } = entry['verdict'] as { readonly status: string; readonly cause?: string };
    last.set(String(entry['case']), status === 'inconclusive' ? (cause ?? 'unknown') : undefined);
  }
  return { run, undecided: [...last.values()].filter((cause) => cause !== undefined) };
}

/** @param out of `prove` @returns what kept it from a verdict, beside a machine without time */
function unexcusedOf(out: string): string[] {
  const file = path.join(out, 'prove.json');
  if (!existsSync(file)) return [`prove has left no ${file}`];
  return unexcusedIn(JSON.parse(readFileSync(file, 'utf8')) as ProofReport);
}

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `mcnet-conformance`, with reports into a folder. */
const program = (words: readonly string[]): Promise<Ended> => $({ nothrow: true })`node ${BIN} ${words}`;

/** @returns undefined where all is well */
function problemOf(what: string, { exitCode, stdout, stderr }: Ended): string | undefined {
  return exitCode === 0 ? undefined : `${what} ended with ${exitCode}:\n${tail(stdout + stderr, 60)}`;
}

async function attempt({ name, args, prove }: Row): Promise<Outcome> {
  const out = await mkdtemp(path.join(tmpdir(), 'mcnet-clusters-'));
  const before = { volumes: await volumes(), kubeconfig: userKubeconfig() };
  const began = performance.now();
  const ended = await program(['--quiet', '--out', out, ...args, ...(prove ? ['--keep'] : [])]);
  const { run, undecided } = seenIn(out);
  let excused = ended.exitCode === UNDECIDED && undecided.every(isExcused);
  if (excused) console.log(`  cases without a verdict, for want of processors: ${undecided.length}`);
  const problems = excused ? [] : [problemOf('the run', ended)];
  // A run whose set-up died has removed what it made.
  if (prove && run !== undefined && ended.exitCode !== 2) {
    const proved = await program([
      'prove',
      ...['--attach', run, '--quiet', '--out', path.join(out, 'prove')],
      ...prove,
    ]);
    const unexcused = proved.exitCode === UNDECIDED ? unexcusedOf(path.join(out, 'prove')) : undefined;
    if (unexcused?.length === 0) {
      excused = true;
      console.log(`  not everything could be proved, for want of processors:\n${tail(proved.stdout, 20)}`);
    } else problems.push(problemOf('prove', proved), ...(unexcused ?? []));
    problems.push(problemOf('clean', await program(['clean', run])));
  }
  const seconds = ((performance.now() - began) / 1_000).toFixed(0);
  problems.push(
    ...(run === undefined ? ['has left no record'] : (await leftovers(run)).map((one) => `has left ${one}`)),
    ...(await volumes())
      .filter((one) => !before.volumes.includes(one))
      .map((one) => `has left the volume ${one}`),
    ...(userKubeconfig() === before.kubeconfig ? [] : ["has changed the user's kubeconfig"]),
  );
  const found = problems.filter((one) => one !== undefined);
  const outcome = found.length > 0 ? 'failed' : excused ? 'skipped' : 'passed';
  const mark = { failed: 'not ok', skipped: 'skipped', passed: 'ok' }[outcome];
  console.log(`${mark} ${name} (${seconds} s): mcnet-conformance ${args.join(' ')}`);
  for (const problem of found) console.log(`  ${problem}`);
  if (outcome === 'failed') console.log(`  its reports: ${out}`);
  else await rm(out, { recursive: true });
  return outcome;
}

const asked = process.argv.slice(2);
const unknown = asked.filter((one) => one !== '--all' && !ROWS.some(({ name }) => name === one));
if (unknown.length > 0) {
  console.error(`unknown row ${unknown.join(', ')}; there are ${ROWS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const rows = ROWS.filter(({ name, smoke }) =>
  asked.length === 0 ? smoke : asked.includes('--all') || asked.includes(name),
);
const counts: Record<Outcome, number> = { passed: 0, failed: 0, skipped: 0 };
const engine = await $({ nothrow: true })`docker info`;
if (engine.exitCode !== 0) {
  console.log(
    'No Docker engine answers: real clusters cannot be made here (`npm run offline -- engine` starts one)',
  );
  counts.skipped = rows.length;
} else {
  for (const row of rows) counts[await attempt(row)]++;
}
console.log(`clusters: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;
