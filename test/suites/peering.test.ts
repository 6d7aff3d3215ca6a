import t from 'tap';
import type { Sample } from '../../lib/model/probe.ts';
import { exported, permission } from '../../suites/peering.ts';
import { callsToMeetAll } from '../../suites/support/services.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const CALLS = callsToMeetAll(2);
const local = times(CALLS, () => answeredBy('east'));
const both = [...local, answeredBy('west')];
const refused = local.map((answer, index) =>
  index % 2 === 0 ? answer : exchange({ outcome: 'garbled', status: 403 }),
);

const keptAlive = (until: number): Sample[] =>
  Array.from({ length: 100 }, (_, index) => ({
    at: index * 50,
    latencyMs: 5,
    outcome: 'answered',
    cluster: index % 2 === 0 && index * 50 <= until ? 'west' : 'east',
  }));

const healthy = {
  from: 'east',
  to: 'west',
  address: '10.10.0.2',
  before: [...local, ...local],
  opened: { exchanges: both, converged: true, elapsedMs: 300 },
  closed: { exchanges: local, converged: true, elapsedMs: 200 },
  held: local,
  keptAlive: keptAlive(1_700),
  closedAt: 1_500,
  endedAt: 5_000,
  links: [],
};

t.test('what is exported answers, and what is not does not', async (t) => {
  const verdict = (more: object) => outcomeOf(judge(exported, { ...healthy, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ before: [...both, ...local] }), 'failed: not-shared-but-answered');
  t.equal(
    verdict({ closed: { ...healthy.closed, converged: false, exchanges: both } }),
    'failed: not-shared-but-answered',
    'withdrawn, and new connections are still answered',
  );
  t.equal(verdict({ held: both }), 'failed: not-shared-but-answered', 'closed for a moment only');
  t.equal(
    verdict({ keptAlive: keptAlive(4_900) }),
    'failed: not-shared-but-answered',
    'connections of before go on being answered',
  );
  t.equal(
    verdict({ keptAlive: keptAlive(-1) }),
    'inconclusive: control-failed',
    'a pool that never met the other cluster proves nothing',
  );
  const never = { ...healthy.opened, exchanges: local, converged: false };
  t.equal(verdict({ opened: never }), 'failed: remote-endpoints-missing');
  t.equal(
    verdict({ opened: never, links: [{ cause: 'peering-missing', what: 'east has no peering with west' }] }),
    'failed: peering-missing',
  );
  t.equal(verdict({ before: local }), 'inconclusive: probe-failed');
  t.equal(verdict({ address: '' }), 'inconclusive: control-failed');
});

t.test('refusal by a proxy is a refusal, and an answer to somebody without permission is none', async (t) => {
  const verdict = (more: object) => outcomeOf(judge(permission, { ...healthy, ...more }));
  t.equal(verdict({ before: [...refused, ...refused], held: refused }), 'passed');
  t.equal(verdict({ before: [...both, ...local] }), 'failed: identity-not-enforced');
  t.equal(verdict({ keptAlive: keptAlive(4_900) }), 'failed: identity-not-enforced');
});
