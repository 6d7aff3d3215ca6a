import t from 'tap';
import { governed } from '../../../fixtures/policy.ts';
import type { Exchange, ExchangeRequest } from '../../../lib/model/probe.ts';
import { keyOf } from '../../../lib/model/workload.ts';
import { type Cell, probeTables } from '../../../suites/support/cells.ts';

/** A site that lets through what `passes` says, and takes so long to answer. */
function siteIn(cluster: string, key: string, answersAfterMs: number, asked: number[]) {
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
              ...((request.timeoutMs ?? 0) >= answersAfterMs
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

async function probed(answersAfterMs: number): Promise<{ cells: readonly Cell[]; asked: number[] }> {
  const asked: number[] = [];
  const view = (name: string) => ({
    name,
    site: (key: string) => siteIn(name, key, answersAfterMs, asked),
  });
  let nonce = 0;
  const toolkit = {
    standingPolicies: (governed.intents ?? []).filter(({ kind }) => kind === 'policy'),
    policySemantics: { protocols: ['tcp', 'udp'], selectorsMatchRemote: true, refusal: 'silence' },
    elapsed: () => 0,
    sleep: () => Promise.resolve(),
    nonce: () => `${nonce++}`,
  };
  const [table] = await probeTables([[view('east'), view('west')]] as never, toolkit as never, 0);
  return { cells: table?.cells ?? [], asked };
}

t.test('what ought to pass is tried a last time with patience, what ought not is not', async (t) => {
  const slow = await probed(3_000);
  const allowed = slow.cells.filter(({ expected }) => expected === 'allow');
  const others = slow.cells.filter(({ expected }) => expected !== 'allow');
  t.ok(allowed.length > 0 && others.length > 0);
  t.ok(allowed.every(({ outcomes }) => outcomes.join() === 'timed-out,timed-out,answered'));
  t.ok(others.every(({ outcomes }) => outcomes.join() === 'timed-out,timed-out'));
  const count = (asked: readonly number[]) => asked.reduce((sum, one) => sum + one, 0);
  t.equal(count(slow.asked), 2 * slow.cells.length + allowed.length);

  const silent = await probed(Infinity);
  t.ok(
    silent.cells.every(({ outcomes }) => !outcomes.includes('answered')),
    'a flow that never answers stays refused',
  );
  const quick = await probed(0);
  t.equal(count(quick.asked), quick.cells.length, 'what is answered at once is not tried again');
});
