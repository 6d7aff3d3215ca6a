/** `npm test`: installs what the tests need on this machine (as root), runs them, and counts. */
import { mkdirSync, readFileSync } from 'node:fs';
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
const run = await $({
  nothrow: true,
  stdio: 'inherit',
})`tap run --output-file=${OUTPUT} ${process.argv.slice(2)}`;
// tap closes with `# { total: 8, pass: 4, fail: 2, skip: 2 }`, without what is zero.
const totals =
  readFileSync(OUTPUT, 'utf8')
    .match(/^# \{ total: .*\}$/gm)
    ?.at(-1) ?? '';
const count = (what: string): number => Number(new RegExp(`${what}: (\\d+)`).exec(totals)?.[1] ?? 0);
console.log(`tests: ${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`);
process.exitCode = run.exitCode === 0 && count('fail') === 0 && count('pass') > 0 ? 0 : 1;
