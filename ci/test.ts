/** `npm test`: installs what the tests need on this machine (as root), runs them, and counts. */
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { $ } from 'zx';

const OUTPUT = '.tap/all.tap';

$.verbose = false;
const asRoot = process.getuid?.() === 0;
if (asRoot) {
  const doctor = await $({ nothrow: true, stdio: 'inherit' })`node lib/cli/bin.js doctor --yes`;
  if (doctor.exitCode !== 0) process.exit(doctor.exitCode ?? 2);
} else {
  console.log('Not root: tests that need network namespaces are skipped, each with that reason.');
}

mkdirSync('.tap', { recursive: true });
const passed = await (process.stdout.isTTY ? onTerminal() : intoLog());
// tap closes with `# { total: 8, pass: 4, fail: 2, skip: 2 }`, without what is zero.
const totals =
  readFileSync(OUTPUT, 'utf8')
    .match(/^# \{ total: .*\}$/gm)
    ?.at(-1) ?? '';
const count = (what: string): number => Number(new RegExp(`${what}: (\\d+)`).exec(totals)?.[1] ?? 0);
console.log(`tests: ${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`);
process.exitCode = passed && count('fail') === 0 && count('pass') > 0 ? 0 : 1;

async function onTerminal(): Promise<boolean> {
  const run = $({ nothrow: true, stdio: 'inherit' });
  return (await run`tap run --output-file=${OUTPUT} ${process.argv.slice(2)}`).exitCode === 0;
}

/** A log gets a line per file, and of whatever fails its name and diagnosis; the whole is in {@link OUTPUT}. */
async function intoLog(): Promise<boolean> {
  const whole = createWriteStream(OUTPUT);
  const run = $({ nothrow: true, stdio: ['inherit', 'pipe', 'inherit'] })`tap run ${process.argv.slice(2)}`;
  const failures: string[] = [];
  let diagnosing = false;
  for await (const line of createInterface({ input: run.stdout })) {
    whole.write(`${line}\n`);
    const failed = /^ *not ok /.test(line);
    diagnosing = failed || (diagnosing && !/^ *(\.\.\.|ok .*|\d+\.\.\d+)$/.test(line));
    if (failed) failures.push(line.trim());
    if (diagnosing || /^(ok|#(?! Subtest)) /.test(line)) console.log(line);
  }
  await new Promise<void>((resolve) => whole.end(resolve));
  // The end of a long log is what is read, and often all that is kept of it.
  if (failures.length > 0) console.log(['Failed:', ...failures].join('\n  '));
  return (await run).exitCode === 0;
}
