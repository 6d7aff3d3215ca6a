/** On the lab, as root: every check under the largest of each of its faults, and what an interruption leaves. */
import path from 'node:path';
import t from 'tap';
import { partsOf } from '../../lib/cli/compose.ts';
import { readSpec } from '../../lib/cli/configuration.ts';
import { InterruptedError } from '../../lib/model/errors.ts';
import { prove } from '../../lib/run/prove.ts';
import { systemClock } from '../../lib/system/clock.ts';
import { listFolder } from '../../lib/system/storage.ts';
import { temporaryFolder } from './support.ts';

t.setTimeout(900_000);

const skip = process.getuid?.() === 0 ? false : 'needs root: network namespaces';

async function proveOnLab(
  selection: Readonly<Record<string, unknown>>,
  underFault: () => void,
  signal: AbortSignal,
) {
  const folder = await temporaryFolder();
  const spec = { ...(await readSpec(selection, {})), out: path.join(folder, 'out') };
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

/** A machine that is too busy proves nothing, and says so; that is no failure of a check. */
const EXCUSED = /\((cpu-saturated|spread-too-wide)\)/;

t.test(
  'the table of the lab: every check catches every fault that it names, with the right cause',
  { skip },
  async (t) => {
    const { signal } = new AbortController();
    const { results, namespaces, state } = await proveOnLab({ level: 'all' }, () => undefined, signal);
    const { proofs, falseAlarms } = results;
    const shown = ({ check, kind, cause, outcome, reason }: (typeof proofs)[number]): string =>
      `${check} under ${kind} (${cause}): ${outcome}: ${reason}`;
    const wanting = proofs.filter(({ outcome }) => outcome !== 'caught');
    const excused = wanting.filter(
      ({ outcome, reason }) => ['not proved', 'missed'].includes(outcome) && EXCUSED.test(reason),
    );
    for (const one of excused) t.comment(shown(one));
    t.same(wanting.filter((one) => !excused.includes(one)).map(shown), []);
    t.ok(excused.length < 4, 'nearly all of it could be proved');
    t.ok(proofs.length > 70, `${proofs.length} proofs`);
    t.same(falseAlarms, []);
    t.same([...namespaces, ...state], []);
  },
);

t.test('interrupted while a fault stands, nothing is left', { skip }, async (t) => {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new InterruptedError('SIGTERM received', 'SIGTERM'));
  const { results, namespaces, state } = await proveOnLab(
    { check: ['reachability.icmp'] },
    interrupt,
    controller.signal,
  );
  t.equal(results.run.exitCode, 143);
  t.same([...namespaces, ...state], []);
});
