/** On the lab, as root: a few checks of two suites under all of their faults. */
import path from 'node:path';
import t from 'tap';
import { partsOf } from '../../lib/cli/compose.ts';
import { readSpec } from '../../lib/cli/configuration.ts';
import { InterruptedError } from '../../lib/model/errors.ts';
import { prove } from '../../lib/run/prove.ts';
import { systemClock } from '../../lib/system/clock.ts';
import { listFolder } from '../../lib/system/storage.ts';
import { temporaryFolder } from './support.ts';

t.setTimeout(120_000);

const skip = process.getuid?.() === 0 ? false : 'needs root: network namespaces';

async function proveOnLab(checks: readonly string[], underFault: () => void, signal: AbortSignal) {
  const folder = await temporaryFolder();
  const spec = { ...(await readSpec({ check: checks }, {})), out: path.join(folder, 'out') };
  const results = await prove(
    spec,
    { graded: false, blastRadius: false, repeat: 1 },
    {
      ...partsOf(spec),
      clock: systemClock,
      observers: [(event) => event.type === 'fault' && event.event === 'held' && underFault()],
      signal,
      stateFolder: path.join(folder, 'state'),
      tool: 'a test',
      progress: () => undefined,
    },
  );
  const namespaces = (await listFolder('/run/netns')).filter((name) => name.includes(results.run.run));
  return { results, namespaces, state: await listFolder(path.join(folder, 'state', 'runs')) };
}

t.test('checks of the lab catch their faults, with the right cause', { skip }, async (t) => {
  const checks = ['reachability.tcp', 'dns.not-shared'];
  const { signal } = new AbortController();
  const { results, namespaces, state } = await proveOnLab(checks, () => undefined, signal);
  const { proofs } = results;
  t.same([...new Set(proofs.map(({ check }) => check))], checks);
  const wanDrops = proofs.filter(({ kind }) => kind === 'wan-drop');
  t.same(
    wanDrops.map(({ outcome, cause, verdict }) => [outcome, verdict?.cause === cause]),
    [
      ['caught', true],
      ['caught', true],
    ],
  );
  t.same(
    proofs.filter(({ outcome }) => outcome !== 'caught' && outcome !== 'not applicable'),
    [],
  );
  t.same(results.falseAlarms, []);
  t.equal(results.run.exitCode, 0);
  t.same([...namespaces, ...state], []);
});

t.test('interrupted while a fault stands, nothing is left', { skip }, async (t) => {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new InterruptedError('SIGTERM received', 'SIGTERM'));
  const { results, namespaces, state } = await proveOnLab(
    ['reachability.icmp'],
    interrupt,
    controller.signal,
  );
  t.equal(results.run.exitCode, 143);
  t.same([...namespaces, ...state], []);
});
