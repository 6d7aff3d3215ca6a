import t from 'tap';
import { governed } from '../../../fixtures/policy.ts';
import type { Exchange, ExchangeRequest } from '../../../lib/model/probe.ts';
import { keyOf } from '../../../lib/model/workload.ts';
import { type Cell, probeTables } from '../../../suites/support/cells.ts';

/** A site that lets through what `passes` says, and takes so long to answer. */
function siteIn(cluster: string, key: string, answersAfterMs: () => number, asked: number[]) {
  const [namespace, name] = key.split('/') as [string, string];
  const spec = governed.workloads.find((workload) => keyOf(workload) === key);
  return {
    cluster,
    key,
    spec,
    address: `${cluster}/${key}`,
    received: () => Promise.resolve([]),
    exchange: (requests: readonly ExchangeRequest[]) => {
      asked.push(requests.length);
      return Promise.resolve(
        requests.map(
          (request) =>
            ({
              ...request,
              durationMs: 1,
              local: { address: '10.0.0.1', port: 1 },
              ...((request.timeoutMs ?? 0) >= answersAfterMs()
                ? {
                    outcome: 'answered',
                    answeredBy: { cluster: 'west', namespace, workload: name, instance: 'a' },
                  }
                : { outcome: 'timed-out' }),
            }) as Exchange,
        ),
      );
    },
  };
}

interface Probed {
  /** How long a target takes to answer, from some moment on. */
  readonly answersAfterMs: (elapsed: number) => number;
  readonly standingDue?: number;
}

async function probed({
  answersAfterMs,
  standingDue = 0,
}: Probed): Promise<{ cells: readonly Cell[]; asked: number[] }> {
  const asked: number[] = [];
  let elapsed = 0;
  const view = (name: string) => ({
    name,
    site: (key: string) => siteIn(name, key, () => answersAfterMs(elapsed), asked),
  });
  let nonce = 0;
  const toolkit = {
    standingPolicies: (governed.intents ?? []).filter(({ kind }) => kind === 'policy'),
    policySemantics: { protocols: ['tcp', 'udp'], selectorsMatchRemote: true, refusal: 'silence' },
    standingDue,
    elapsed: () => elapsed,
    sleep: () => Promise.resolve(),
    converge: async <T>(
      attempt: () => Promise<T>,
      { succeeded, budgetMs }: { succeeded: (value: T) => boolean; budgetMs: number },
    ) => {
      const end = elapsed + budgetMs;
      for (;;) {
        const last = await attempt();
        if (succeeded(last) || elapsed >= end) return { last };
        elapsed += 100;
      }
    },
    nonce: () => `${nonce++}`,
  };
  const [table] = await probeTables([[view('east'), view('west')]] as never, toolkit as never, 0);
  return { cells: table?.cells ?? [], asked };
}

t.test('what ought to pass is tried a last time with patience, what ought not is not', async (t) => {
  const slow = await probed({ answersAfterMs: () => 3_000 });
  const allowed = slow.cells.filter(({ expected }) => expected === 'allow');
  const others = slow.cells.filter(({ expected }) => expected !== 'allow');
  t.ok(allowed.length > 0 && others.length > 0);
  t.ok(allowed.every(({ outcomes }) => outcomes.join() === 'timed-out,timed-out,answered'));
  t.ok(others.every(({ outcomes }) => outcomes.join() === 'timed-out,timed-out'));
  const count = (asked: readonly number[]) => asked.reduce((sum, one) => sum + one, 0);
  t.equal(count(slow.asked), 2 * slow.cells.length + allowed.length);

  const silent = await probed({ answersAfterMs: () => Infinity });
  t.ok(
    silent.cells.every(({ outcomes }) => !outcomes.includes('answered')),
    'a flow that never answers stays refused',
  );
  const quick = await probed({ answersAfterMs: () => 0 });
  t.equal(count(quick.asked), quick.cells.length, 'what is answered at once is not tried again');
});

t.test('what policies forbid may pass until they are due, and no longer', async (t) => {
  const forbidden = ({ cells }: { cells: readonly Cell[] }) =>
    cells.filter(({ expected }) => expected === 'deny').map(({ outcomes }) => outcomes.join());
  const closesAt = (ms: number) => ({
    answersAfterMs: (elapsed: number) => (elapsed < ms ? 0 : Infinity),
    standingDue: 1_000,
  });
  const inTime = forbidden(await probed(closesAt(900)));
  t.ok(inTime.length > 0 && inTime.every((outcomes) => !outcomes.includes('answered')));
  const late = forbidden(await probed(closesAt(1_200)));
  t.ok(late.length > 0 && late.every((outcomes) => outcomes === 'answered'));
  const standing = forbidden(await probed({ ...closesAt(900), standingDue: 0 }));
  t.ok(
    standing.every((outcomes) => outcomes === 'answered'),
    'none that stood before the run',
  );
});
