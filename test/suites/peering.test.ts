import t from 'tap';
import { clientOf, offered, offeredService, permitted, permittedService } from '../../fixtures/exports.ts';
import { WAYS } from '../../fixtures/ways.ts';
import type { Sample } from '../../lib/model/probe.ts';
import { selects } from '../../lib/model/workload.ts';
import { cut, exported, names, noOwnGateway, ownGateway, permission, token } from '../../suites/peering.ts';
import { callsToMeetAll } from '../../suites/support/services.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, lookup, times } from './samples.ts';

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
  const heard = { refusal: 'proxy', before: [...local, ...refused] };
  t.equal(verdict({ ...heard, held: refused }), 'passed');
  t.equal(
    verdict({ refusal: 'proxy', before: [...local, ...local], held: refused }),
    'failed: remote-endpoints-missing',
    'who is out of reach refuses nobody',
  );
  t.equal(
    verdict({
      refusal: 'proxy',
      before: [...local, ...local],
      links: [{ cause: 'peering-missing', what: 'east has no peering with west' }],
    }),
    'failed: peering-missing',
  );
  t.equal(
    verdict(heard),
    'inconclusive: control-failed',
    'silence after it was closed says nothing of the policy',
  );
});

t.test('what one way exports and governs is nothing to the other', async (t) => {
  const fixtures = [...permitted, ...offered];
  const workloads = fixtures.flatMap((fixture) => fixture.workloads);
  const services = fixtures.flatMap((fixture) => fixture.services ?? []);
  for (const way of WAYS) {
    const governed = workloads.filter(({ labels }) => selects(clientOf('east', way).target, labels));
    t.equal(governed.length, 1);
    t.strictSame(
      services.filter(({ selector }) => governed.some(({ labels }) => selects(selector, labels))),
      [permittedService(way)],
    );
    t.ok(services.some(({ name }) => name === offeredService(way).name));
  }
  t.equal(new Set(services.map(({ name }) => name)).size, 2 * WAYS.length);
});

const found = lookup({ name: 'echo-mcnet.virtual.west.consul', addresses: ['240.0.0.1'] });
const west = times(CALLS, () => answeredBy('west'));
const peeringMissing = { cause: 'peering-missing', what: 'east has no peering with west' };

t.test('a name leads to the cluster that it names, and what is kept has none', async (t) => {
  const nothing = { ...found, addresses: [] };
  const known = { from: 'east', to: 'west', lookup: found, exchanges: west, elapsedMs: 1, links: [] };
  const verdict = (more: object) =>
    outcomeOf(judge(names, { ...known, kept: [nothing, { ...nothing, rcode: 'NXDOMAIN' }], ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ exchanges: both }), 'failed: wrong-answerer');
  t.equal(verdict({ lookup: nothing, exchanges: [] }), 'failed: dns-no-records');
  t.equal(verdict({ lookup: nothing, exchanges: [], links: [peeringMissing] }), 'failed: peering-missing');
  t.equal(verdict({ lookup: { ...nothing, outcome: 'timed-out' } }), 'failed: dns-timeout');
  t.equal(
    verdict({
      exchanges: west.map((answer) => ({ ...answer, outcome: 'timed-out', answeredBy: undefined })),
      links: [{ cause: 'gateway-down', what: 'no mesh gateway is ready in west' }],
    }),
    'failed: gateway-down',
  );
  t.equal(verdict({ kept: [nothing, found] }), 'failed: not-shared-but-answered', 'a moment later');
});

t.test('a token is taken once', async (t) => {
  const refused = { refusal: 'a new peering token must be generated' };
  const joined = { converged: true, elapsedMs: 900 };
  const uses = {
    from: 'east',
    to: 'west',
    replaced: refused,
    withdrawn: refused,
    fresh: {},
    joined,
    again: refused,
    links: [],
  };
  const verdict = (more: object) => outcomeOf(judge(token, { ...uses, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ again: {} }), 'failed: token-reusable');
  t.equal(verdict({ replaced: {} }), 'failed: token-reusable');
  t.equal(verdict({ withdrawn: {} }), 'failed: token-reusable');
  t.equal(verdict({ fresh: refused }), 'failed: peering-missing');
  t.equal(verdict({ joined: { ...joined, converged: false } }), 'failed: peering-missing');
  t.equal(verdict({ fresh: { failure: 'no answer' } }), 'inconclusive: probe-failed');
  t.equal(
    verdict({
      fresh: { failure: 'no answer' },
      links: [{ cause: 'gateway-down', what: 'no mesh gateway is ready in west' }],
    }),
    'failed: gateway-down',
  );
});

t.test('callers leave by the gateway of their cluster, or without it', async (t) => {
  const back = { exchanges: both, converged: true, elapsedMs: 1 };
  const egress = {
    from: 'east',
    to: 'west',
    address: '10.8.0.2',
    before: both,
    held: true,
    without: local,
    back,
  };
  const verdict = (check: typeof ownGateway, more: object) => outcomeOf(judge(check, { ...egress, ...more }));
  t.equal(verdict(ownGateway, {}), 'passed');
  t.equal(verdict(ownGateway, { without: both }), 'failed: wrong-path');
  t.equal(verdict(noOwnGateway, { without: both }), 'passed');
  t.equal(verdict(noOwnGateway, {}), 'failed: wrong-path');
  t.equal(verdict(ownGateway, { before: local }), 'inconclusive: control-failed');
  t.equal(verdict(ownGateway, { held: false }), 'inconclusive: fault-did-not-hold');
  t.equal(
    verdict(ownGateway, { back: { ...back, converged: false, exchanges: local } }),
    'failed: no-failover',
  );
});

t.test('a cut is known of while it lasts, and forgotten after it', async (t) => {
  const during = { links: [peeringMissing], exchanges: local, listed: true, converged: true, elapsedMs: 1 };
  const mended = { links: [], exchanges: both, listed: false, converged: true, elapsedMs: 1 };
  const seen = {
    from: 'east',
    to: 'west',
    address: '10.8.0.2',
    ready: true,
    held: true,
    cut: during,
    mended,
  };
  const verdict = (more: object) => outcomeOf(judge(cut, { ...seen, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ ready: false }), 'inconclusive: control-failed');
  t.equal(verdict({ cut: { ...during, links: [] } }), 'failed: status-contradicts-traffic');
  t.equal(verdict({ cut: { ...during, exchanges: both } }), 'failed: wrong-path');
  t.equal(verdict({ mended: { ...mended, listed: true } }), 'failed: withdrawal-slow');
  t.equal(verdict({ mended: { ...mended, links: [peeringMissing] } }), 'failed: status-contradicts-traffic');
  t.equal(verdict({ mended: { ...mended, exchanges: local } }), 'failed: no-failback');
});
