/**
 * `npm run test:clusters [-- --all | <row>…]`: the program against real clusters, as a user runs it. The smoke is one
 * run without a technology; `--all` is the matrix. Each row must end as expected and leave nothing
 * behind: no container, network, volume or kubeconfig entry. Closes with one counted line.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { $ } from 'zx';

$.verbose = false;
const BIN = path.resolve('lib/cli/bin.js');

interface Row {
  readonly name: string;
  readonly args: readonly string[];
  /** Part of the smoke. */
  readonly smoke?: true;
}

const KIND = ['--provider', 'kind'];
const ROWS: readonly Row[] = [
  { name: 'none', args: [...KIND, '--profile', 'none'], smoke: true },
  { name: 'istio', args: [...KIND, '--profile', 'istio'] },
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

async function attempt({ name, args }: Row): Promise<Outcome> {
  const out = await mkdtemp(path.join(tmpdir(), 'mcnet-clusters-'));
  const before = { volumes: await volumes(), kubeconfig: userKubeconfig() };
  const began = performance.now();
  const ended = await $({ nothrow: true })`node ${BIN} --quiet --out ${out} ${args}`;
  const seconds = ((performance.now() - began) / 1_000).toFixed(0);
  const record = path.join(out, 'record.ndjson');
  const run = existsSync(record)
    ? /"run":"([a-z0-9]{6})"/.exec(readFileSync(record, 'utf8'))?.[1]
    : undefined;
  const problems = [
    ...(ended.exitCode === 0
      ? []
      : [`ended with ${ended.exitCode}:\n${tail(ended.stdout + ended.stderr, 60)}`]),
    ...(run === undefined ? ['has left no record'] : await leftovers(run)).map((what) =>
      what.startsWith('mcnet-') ? `has left ${what}` : what,
    ),
    ...(await volumes())
      .filter((one) => !before.volumes.includes(one))
      .map((one) => `has left the volume ${one}`),
    ...(userKubeconfig() === before.kubeconfig ? [] : ["has changed the user's kubeconfig"]),
  ];
  const failed = problems.length > 0;
  console.log(`${failed ? 'not ok' : 'ok'} ${name} (${seconds} s): mcnet-conformance ${args.join(' ')}`);
  for (const problem of problems) console.log(`  ${problem}`);
  if (failed) console.log(`  its reports: ${out}`);
  else await rm(out, { recursive: true });
  return failed ? 'failed' : 'passed';
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
