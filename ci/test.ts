/**
 * `npm test [-- <file or folder>…]`: installs what the tests need on this machine (as root), runs them, and counts.
 * Each file is a process. What measures has the machine for itself, but for what runs only while nothing else wants to.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, globSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { $ } from 'zx';
import { ALONE, BESIDE } from './lanes.ts';

const OUTPUT = '.tap/all.tap';
/** Of one test without one of its own. */
const LIMIT_S = 600;
/** Of a file whose process no longer keeps its own. */
const FILE_LIMIT_MS = 30 * 60_000;
/** Longer than what a file takes back may take (test/fixtures/takeBack.ts). */
const LEAVE_MS = 40_000;
/** Labs wait more than they compute. */
const BESIDE_JOBS = availableParallelism() + 1;
const IDLE_JOBS = availableParallelism();

$.verbose = false;
const asRoot = process.getuid?.() === 0;
if (asRoot) {
  const doctor = await $({ nothrow: true, stdio: 'inherit' })`node lib/cli/bin.js doctor --yes`;
  if (doctor.exitCode !== 0) process.exit(doctor.exitCode ?? 2);
} else {
  console.log('Not root: tests that need network namespaces are skipped, each with that reason.');
}

mkdirSync('.tap', { recursive: true });
const whole = createWriteStream(OUTPUT);
const living = new Map<ChildProcess, Promise<unknown>>();
let leaving = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    leaving = true;
    console.log(`${signal}: tests that run take back what they made; again to leave at once`);
    for (const child of living.keys()) child.kill(signal);
    void Promise.race([Promise.all(living.values()), wait(LEAVE_MS)]).then(() =>
      process.kill(process.pid, signal),
    );
  });
}

const files = filesOf(process.argv.slice(2));
const known = (lane: readonly string[]): string[] => lane.filter((file) => files.includes(file));
const idle = files.filter((file) => !ALONE.includes(file) && !BESIDE.includes(file));
const totals = { pass: 0, fail: 0, skip: 0 };
const failures: string[] = [];

const yielding = await commandThatYields();
await Promise.all([
  work(idle, IDLE_JOBS, yielding),
  work(known(ALONE), 1).then(() => work(known(BESIDE), BESIDE_JOBS)),
]);
await new Promise<void>((resolve) => whole.end(resolve));
// The end of a long log is what is read, and often all that is kept of it.
if (failures.length > 0) console.log(['Failed:', ...failures].join('\n  '));
console.log(`tests: ${totals.pass} passed, ${totals.fail} failed, ${totals.skip} skipped`);
process.exitCode = totals.fail === 0 && totals.pass > 0 ? 0 : 1;

/** @returns in the order of their names */
function filesOf(asked: readonly string[]): string[] {
  const all = globSync('test/**/*.test.ts').toSorted();
  const gone = [...ALONE, ...BESIDE].filter((file) => !all.includes(file));
  if (gone.length > 0) throw new Error(`ci/lanes.ts names ${gone.join(', ')}, which is not there`);
  if (asked.length === 0) return all;
  const wanted = asked.map((one) => path.relative('.', one));
  const strange = wanted.filter((one) => !all.some((file) => file === one || file.startsWith(`${one}/`)));
  if (strange.length > 0) {
    console.error(`No test is ${strange.join(', ')}; name files or folders of test/`);
    process.exit(2);
  }
  return all.filter((file) => wanted.some((one) => file === one || file.startsWith(`${one}/`)));
}

/**
 * Starts a program that has the processors only while nobody else wants them, and that can make no network namespace: a lab
 * that is in the wrong lane fails, and disturbs nothing.
 */
async function commandThatYields(): Promise<string[]> {
  const wrappers = [
    ['chrt', '--idle', '0'],
    ...(asRoot ? [['setpriv', '--bounding-set=-sys_admin,-net_admin']] : []),
  ];
  const usable = await Promise.all(
    wrappers.map(async (words) => ((await $({ nothrow: true })`${words} true`).exitCode === 0 ? words : [])),
  );
  return usable.flat();
}

/** Runs these files, so many at once, each behind the wrapper. */
async function work(queue: readonly string[], jobs: number, wrapper: readonly string[] = []): Promise<void> {
  const open = queue.values();
  const worker = async (): Promise<void> => {
    for (const file of open) {
      // None begins any more, and the end comes by the signal.
      if (leaving) await new Promise(() => undefined);
      await runFile(file, wrapper);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
}

/** Tells a line of a file, and of whatever fails its name and diagnosis; the whole is in {@link OUTPUT}. */
async function runFile(file: string, wrapper: readonly string[]): Promise<void> {
  const began = performance.now();
  const { lines, errors, end } = await runProcess([...wrapper, process.execPath, file]);
  const { counts, failed, shown } = readTap(lines);
  const problem = end === '' && counts.total === 0 ? 'no test in it' : end;
  totals.pass += counts.pass;
  totals.skip += counts.skip;
  totals.fail += problem === '' ? 0 : Math.max(counts.fail, 1);
  if (problem !== '')
    failures.push(...(failed.length > 0 ? failed : [problem]).map((one) => `${file}: ${one}`));
  if (
    problem !== '' &&
    wrapper.length > 0 &&
    /Operation not permitted/.test([...lines, ...errors].join('\n'))
  ) {
    failures.push(`${file}: as no lane in ci/lanes.ts names it, it may make no network namespace`);
  }
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  const line = `${problem === '' ? 'ok' : 'not ok'} - ${file} # ${seconds} s${problem && `: ${problem}`}`;
  const inside = [...lines, ...errors.map((one) => `# ${one}`)].map((one) => `    ${one}`);
  whole.write([`# Subtest: ${file}`, ...inside, line, ''].join('\n'));
  console.log([...(problem === '' ? [] : [...shown, ...errors]), line].join('\n'));
}

interface Ended {
  readonly lines: readonly string[];
  /** Lines of its standard error. */
  readonly errors: readonly string[];
  /** Empty when all is well. */
  readonly end: string;
}

async function runProcess([program, ...words]: readonly [...string[], string, string]): Promise<Ended> {
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      TAP: '1',
      TAP_TIMEOUT: String(LIMIT_S),
      // Sources are stripped of their types and compiled once for all processes.
      NODE_COMPILE_CACHE: path.resolve('node_modules/.cache/tests'),
    },
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), FILE_LIMIT_MS);
  let [out, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(signal ?? (code === 0 ? '' : `exit code ${code}`)));
  });
  living.set(child, ended);
  const end = await ended;
  clearTimeout(limit);
  living.delete(child);
  return { lines: out.trimEnd().split('\n'), errors: errors.trimEnd().split('\n').filter(Boolean), end };
}

interface Told {
  readonly counts: Readonly<Record<'total' | 'pass' | 'fail' | 'skip', number>>;
  /** Names of what failed. */
  readonly failed: readonly string[];
  /** The same with their diagnoses. */
  readonly shown: readonly string[];
}

function readTap(lines: readonly string[]): Told {
  const [failed, shown]: [string[], string[]] = [[], []];
  let diagnosing = false;
  for (const line of lines) {
    const isFailure = /^ *not ok /.test(line) && !/ # (?:skip|todo)\b/i.test(line);
    diagnosing = isFailure || (diagnosing && !/^ *(\.\.\.|ok .*|\d+\.\.\d+)$/.test(line));
    if (isFailure) failed.push(line.trim());
    if (diagnosing) shown.push(line);
  }
  // tap closes with `# { total: 8, pass: 4, fail: 2, skip: 2 }`, without what is zero.
  const summary = lines.findLast((line) => line.startsWith('# {')) ?? '';
  const count = (what: string): number => Number(new RegExp(`${what}: (\\d+)`).exec(summary)?.[1] ?? 0);
  const counts = { total: count('total'), pass: count('pass'), fail: count('fail'), skip: count('skip') };
  return { counts, failed, shown };
}
