import { existsSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { checkMachine, observeVersions } from '../../../lib/provider/lab/machine.ts';

const asRoot = process.getuid?.() === 0;
const requirements = { wan: true, hostPackages: [] };

t.test('missing programs are named with their packages, and those that only the PATH hides', async (t) => {
  const folder = t.testdir();
  await symlink('/bin/sh', path.join(folder, 'sh'));
  await symlink('/bin/true', path.join(folder, 'ip'));
  const before = process.env['PATH'];
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  process.env['PATH'] = folder;
  const problems = await checkMachine(requirements);
  const packages = problems.flatMap((problem) => problem.packages ?? []);
  t.ok(packages.includes('iperf3'));
  t.ok(packages.includes('iproute2'), 'ss is missing, though ip is there');
  t.notOk(packages.includes('wireguard-go'), 'nobody asked for it');
  const hidden = problems.find(({ remedy }) => remedy.startsWith('export PATH='));
  t.equal(hidden !== undefined, existsSync('/usr/sbin/nft') || existsSync('/usr/sbin/tcpdump'));
  t.equal(
    problems.some(({ what }) => what.includes('only root may')),
    !asRoot,
  );
  const withTunnel = await checkMachine({ wan: true, hostPackages: ['wireguard-go', 'wireguard-tools'] });
  const wanted = withTunnel.flatMap((problem) => problem.packages ?? []);
  t.ok(wanted.includes('wireguard-tools'));
  t.same(await observeVersions(), {}, 'what is missing has no version');
});

t.test('the kernel of this machine is reported', async (t) => {
  t.match(await observeVersions(), { kernel: /^\d+\.\d+/ });
});
