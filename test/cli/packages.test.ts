import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { mendingProvider, summarisingProvider } from '../../lib/cli/packages.ts';
import type { MachineProblem, Provider } from '../../lib/model/cluster.ts';
import { emptyFolder } from './fixtures/process.ts';

const lacking = (name: string): MachineProblem => ({
  what: `${name} is not installed`,
  remedy: `install ${name}`,
  packages: [name],
});
const unfit: MachineProblem = { what: 'the kernel has no bridges', remedy: 'use another' };
const requirements = { wan: true, hostPackages: [] };
const { signal } = new AbortController();

function providerWith(check: () => readonly MachineProblem[]): Provider {
  const never = (): never => {
    throw new Error('not asked for');
  };
  return {
    name: 'lab',
    features: [],
    handlers: [],
    injectors: [],
    limits: { setUpMs: 0, setUpPerClusterMs: 0, graceMs: 0, teardownMs: 0, teardownPerClusterMs: 0 },
    check: () => Promise.resolve(check()),
    create: never,
    attach: never,
    observedVersions: never,
  };
}

/** An apt-get of ours, first on the PATH; it notes how it was called. */
function fakeApt(t: Test, script: string): { calls: () => string[]; folder: string } {
  const folder = emptyFolder(t);
  const log = path.join(folder, 'calls');
  const program = path.join(folder, 'apt-get');
  writeFileSync(program, `#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> '${log}'\n${script}\n`);
  chmodSync(program, 0o755);
  const before = process.env['PATH'];
  process.env['PATH'] = `${folder}:${before}`;
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  const calls = (): string[] =>
    existsSync(log)
      ? readFileSync(log, 'utf8')
          .trim()
          .split('\n')
          .filter((call) => !call.endsWith(' update'))
      : [];
  return { calls, folder };
}

const INSTALL = 'noninteractive install -y --no-install-recommends iperf3 tcpdump';

void t.test('without a yes: one line to run', async (t) => {
  const provider = summarisingProvider(providerWith(() => [lacking('iperf3'), unfit, lacking('tcpdump')]));
  t.match(await provider.check(requirements), [
    unfit,
    {
      what: 'iperf3 is not installed, tcpdump is not installed',
      remedy: /^apt-get install -y --no-install-recommends iperf3 tcpdump /,
    },
  ]);
});

void t.test('what is missing is installed at once, then the machine is looked at again', async (t) => {
  const apt = fakeApt(t, `touch "$(dirname "$0")/installed"`);
  const installed = path.join(apt.folder, 'installed');
  const provider = mendingProvider(
    providerWith(() => (existsSync(installed) ? [] : [lacking('iperf3'), lacking('tcpdump')])),
    signal,
  );
  t.strictSame(await provider.check(requirements), []);
  t.strictSame(apt.calls(), [INSTALL]);
  t.strictSame(await provider.check(requirements), []);
  t.equal(apt.calls().length, 1, 'nothing is missing: nothing is installed');
});

void t.test('lists that do not know the package are fetched once', async (t) => {
  const apt = fakeApt(
    t,
    `here="$(dirname "$0")"
case "$1" in
  update) touch "$here/updated" ;;
  *) [ -e "$here/updated" ] && [ -e "$here/tried" ] || { touch "$here/tried"; echo 'E: Unable to locate package iperf3' >&2; exit 100; } ;;
esac`,
  );
  let looks = 0;
  const provider = mendingProvider(
    providerWith(() => (++looks === 1 ? [lacking('iperf3'), lacking('tcpdump')] : [])),
    signal,
  );
  t.strictSame(await provider.check(requirements), []);
  t.strictSame(apt.calls(), [INSTALL, INSTALL]);
  t.ok(existsSync(path.join(apt.folder, 'updated')));
});

void t.test('an installation that fails is told with its words and the line to run', async (t) => {
  fakeApt(t, `echo 'E: You have held broken packages' >&2; exit 100`);
  const provider = mendingProvider(
    providerWith(() => [lacking('iperf3')]),
    signal,
  );
  await t.rejects(provider.check(requirements), {
    name: 'UserError',
    message: /held broken packages/,
    remedy: /apt-get install .* iperf3/,
  });
});

void t.test('what no package mends comes first: nothing is half made', async (t) => {
  const apt = fakeApt(t, 'true');
  const provider = mendingProvider(
    providerWith(() => [unfit, lacking('iperf3')]),
    signal,
  );
  t.strictSame(await provider.check(requirements), [unfit, lacking('iperf3')]);
  t.strictSame(apt.calls(), []);
});
