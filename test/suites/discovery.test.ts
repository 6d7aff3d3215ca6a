import { X509Certificate } from 'node:crypto';
import t from 'tap';
import type { Sample } from '../../lib/model/probe.ts';
import { DAY_MS, createLeaf, createRoot, reissued, validFor } from '../../lib/profile/common/certificates.ts';
import {
  answers,
  appearedAfter,
  controlPlaneCertificates,
  newWorkload,
  status,
  withdrawnAfter,
} from '../../suites/discovery.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

t.test('discovery.answers', async (t) => {
  const seen = {
    cluster: 'east',
    address: '10.10.0.2',
    sharing: ['east', 'west'],
    exchanges: [answeredBy('east'), answeredBy('west')],
    elapsedMs: 12,
    links: [],
  };
  const verdict = (more: object) => outcomeOf(judge(answers, { ...seen, ...more }));
  const local = times(30, () => answeredBy('east'));
  const link = (cause: string, to = 'west') => ({ cause, what: `broken: ${cause}`, to });
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ exchanges: local }), 'failed: local-endpoints-only');
  t.equal(
    verdict({ exchanges: local, links: [link('remote-secret-missing')] }),
    'failed: remote-secret-missing',
  );
  t.equal(
    verdict({ exchanges: local, links: [link('probe-failed'), link('api-server-unreachable')] }),
    'failed: api-server-unreachable',
  );
  t.equal(verdict({ exchanges: local, links: [link('probe-failed')] }), 'failed: local-endpoints-only');
  t.equal(verdict({ exchanges: times(30, () => answeredBy('west')) }), 'failed: remote-endpoints-missing');
  t.equal(
    verdict({ exchanges: times(30, () => exchange({ outcome: 'timed-out' })) }),
    'failed: remote-endpoints-missing',
  );
  t.equal(verdict({ exchanges: [] }), 'inconclusive: probe-failed');
  t.equal(verdict({ sharing: ['east'] }), 'inconclusive: control-failed');
});

t.test('discovery.status: words and traffic say the same', async (t) => {
  const seen = {
    from: 'east',
    to: 'west',
    address: '10.10.0.2',
    exchanges: [answeredBy('east'), answeredBy('west')],
    links: [],
  };
  const verdict = (more: object) => outcomeOf(judge(status, { ...seen, ...more }));
  const local = { exchanges: times(30, () => answeredBy('east')) };
  const links = (...causes: string[]) => ({
    links: causes.map((cause) => ({ cause, what: `broken: ${cause}` })),
  });
  t.equal(verdict({}), 'passed');
  t.equal(verdict(local), 'failed: status-contradicts-traffic', 'green, and dead');
  t.equal(verdict(links('control-plane-down')), 'failed: status-contradicts-traffic', 'red, and alive');
  t.equal(verdict({ ...local, ...links('control-plane-down') }), 'failed: control-plane-down');
  t.equal(verdict(links('probe-failed')), 'inconclusive: probe-failed', 'it could not be asked');
  const onNode = (node: string) => ({
    node: 'n1',
    links: [{ cause: 'api-server-unreachable', what: '1 of 2 agents', nodes: [node] }],
  });
  t.equal(verdict(onNode('n1')), 'failed: status-contradicts-traffic');
  t.equal(verdict(onNode('n2')), 'failed: api-server-unreachable', 'nobody called from there');
  t.equal(verdict({ address: '' }), 'inconclusive: control-failed');
  t.equal(verdict({ exchanges: [] }), 'inconclusive: probe-failed');
});

t.test('discovery.certificates', async (t) => {
  const now = new Date('2026-11-26T12:00:00Z');
  const authority = await createRoot('mesh', validFor(1_000, now));
  const server = await createLeaf('spiffe://mesh/server', authority, now);
  const days = (count: number) => new Date(now.getTime() + count * DAY_MS);
  const ending = await reissued(server.certificate, authority, { from: days(-300), until: days(20) });
  const verdict = (...pems: string[]) =>
    outcomeOf(
      judge(controlPlaneCertificates, {
        cluster: 'east',
        at: now.getTime(),
        certificates: pems.map((pem, index) => ({ name: `certificate-${index}`, pem })),
      }),
    );
  t.equal(verdict(server.certificate, authority.certificate), 'passed');
  t.equal(verdict(ending, authority.certificate), 'failed: certificate-ending');
  const old = await createRoot('mesh', { from: days(-900), until: days(20) });
  t.equal(verdict(server.certificate, old.certificate), 'failed: certificate-ending');
  t.equal(verdict(), 'inconclusive: control-failed');
  t.equal(verdict(authority.certificate), 'inconclusive: control-failed', 'an authority alone knows nobody');
  const shown = (what: object) =>
    judge(controlPlaneCertificates, {
      cluster: 'east',
      at: now.getTime(),
      certificates: [
        { name: 'server', pem: server.certificate },
        { name: 'authority', pem: authority.certificate },
      ],
      shown: [{ name: 'server', at: '10.8.0.7:2379', ...what }],
    });
  t.match(shown({ pem: server.certificate }), {
    status: 'passed',
    figures: { 'server left': {}, 'server as its server shows it left': {} },
  });
  t.match(shown({ pem: ending }), { cause: 'certificate-ending', reason: /as its server shows it/ });
  t.equal(outcomeOf(shown({ detail: 'refused' })), 'inconclusive: control-failed');
  const without = judge(controlPlaneCertificates, {
    cluster: 'east',
    at: now.getTime(),
    certificates: [{ name: 'server', pem: server.certificate }, { name: 'remote' }, { name: 'local' }],
  });
  t.equal(outcomeOf(without), 'failed: certificate-missing');
  t.match(without, { reason: /no remote, local$/, seen: /server/ });
  const [before, after] = [server.certificate, ending].map((pem) => new X509Certificate(pem));
  t.ok(after?.verify(new X509Certificate(authority.certificate).publicKey));
  t.equal(after?.subjectAltName, before?.subjectAltName);
  t.same(after?.publicKey.export({ format: 'jwk' }), before?.publicKey.export({ format: 'jwk' }));
});

const sample = (at: number, workload: string | undefined): Sample => ({
  at,
  latencyMs: 10,
  outcome: workload === undefined ? 'timed-out' : 'answered',
  ...(workload !== undefined && { cluster: 'west', workload }),
});

const visit = { name: 'newcomer', readyAt: 0, deletedAt: 3_000 };
/** A sample every 50 ms: `by` whom, or by nobody. */
const row = (from: number, until: number, by: string | undefined): Sample[] =>
  Array.from({ length: (until - from) / 50 }, (_, index) => sample(from + index * 50, by));
/** Found after half a second, deleted at three, still there for a moment, left alone at four. */
const SAMPLES = [
  ...row(0, 450, 'echo-1'),
  sample(490, 'newcomer'),
  ...row(500, 3_000, 'echo-1'),
  ...row(3_000, 3_300, 'newcomer'),
  ...row(3_300, 4_000, undefined),
  ...row(4_000, 6_000, 'echo-1'),
];

t.test('when a workload is found, and when it is left alone', async (t) => {
  t.equal(appearedAfter(visit, SAMPLES), 500);
  t.equal(appearedAfter({ ...visit, readyAt: 200 }, SAMPLES), 300);
  t.equal(appearedAfter(visit, [sample(1, 'echo-1')]), undefined);
  t.equal(withdrawnAfter(visit, SAMPLES, 6_000), 960);
  t.equal(withdrawnAfter(visit, row(3_000, 6_000, 'echo-1'), 6_000), 0);
  const missed = [...SAMPLES, sample(5_990, undefined)];
  t.equal(withdrawnAfter(visit, missed, 6_000), 960, 'one call lost much later went to nobody in particular');
  const kept = [...SAMPLES.slice(0, -40), ...row(4_000, 6_000, 'newcomer')];
  t.equal(withdrawnAfter(visit, kept, 6_000), undefined);
  const dead = [...SAMPLES.slice(0, -40), ...row(4_000, 6_000, undefined)];
  t.equal(withdrawnAfter(visit, dead, 6_000), undefined);
});

t.test('a workload that is late is waited for, but in vain no longer than needed', async (t) => {
  /** @param brokenFrom since when a link is; @param readyAt when a workload is ready, where nobody gives it up before */
  async function observe(brokenFrom: number, readyAt: number) {
    let now = 0;
    let asked = 0;
    const sleep = async (milliseconds: number) => {
      now += milliseconds;
      await new Promise(setImmediate);
    };
    const startWorkload = async (_spec: unknown, _cluster: string, giveUp: AbortSignal) => {
      const isOver = () => now >= readyAt || giveUp.aborted;
      while (!isOver()) await new Promise(setImmediate);
      throw new Error(giveUp.aborted ? 'given up' : 'enough');
    };
    const context = {
      from: { name: 'east', site: () => ({}), sharedService: () => ({ addresses: { ipv4: '10.10.0.2' } }) },
      to: { name: 'west' },
      clusters: [{ name: 'east' }, { name: 'west' }],
      family: 'ipv4',
      signal: new AbortController().signal,
      elapsed: () => now,
      sleep,
      startWorkload,
      brokenLinks: async () => {
        asked++;
        return now < brokenFrom ? [] : [{ cause: 'control-plane-down', what: 'no control plane is ready' }];
      },
    };
    const seen = await newWorkload.observe(context as never, { discovery: 15_000, withdrawal: 15_000 });
    return { notStarted: seen.notStarted, verdict: outcomeOf(judge(newWorkload, seen)), now, asked };
  }
  t.match(await observe(0, 180_000), {
    notStarted: 'given up',
    verdict: 'failed: control-plane-down',
    now: 30_000,
  });
  t.match(await observe(Infinity, 120_000), { notStarted: 'enough', verdict: 'inconclusive: probe-failed' });
  t.match(await observe(0, 20_000), { notStarted: 'enough', asked: 2 }, 'only what is late is looked at');
});

t.test('discovery.new-workload', async (t) => {
  const seen = {
    from: 'east',
    to: 'west',
    address: '10.10.0.2',
    visits: [visit],
    samples: SAMPLES,
    endedAt: 6_000,
    links: [],
  };
  const verdict = (more: object) => outcomeOf(judge(newWorkload, { ...seen, ...more }));
  t.equal(verdict({}), 'passed');
  const never = { samples: [sample(1, 'echo-1'), sample(5_900, 'echo-1')] };
  t.equal(verdict(never), 'failed: discovery-slow');
  t.equal(
    verdict({ visits: [visit, { ...visit, name: 'second newcomer' }] }),
    'failed: discovery-slow',
    'one of two',
  );
  const down = [{ cause: 'control-plane-down', what: 'no control plane is ready in east' }];
  t.equal(verdict({ ...never, links: down }), 'failed: control-plane-down');
  const none = { visits: [], samples: [] };
  t.equal(
    verdict({ ...none, notStarted: 'the webhook does not answer', links: down }),
    'failed: control-plane-down',
  );
  t.equal(verdict({ ...none, notStarted: 'quota' }), 'inconclusive: probe-failed');
  t.equal(
    verdict({
      visits: [{ ...visit, deletedAt: 20_000 }],
      endedAt: 23_000,
      samples: [sample(1, 'echo-1'), sample(16_000, 'newcomer')],
    }),
    'failed: discovery-slow',
  );
  const late = { samples: [...SAMPLES.slice(0, -40), ...row(4_000, 6_000, undefined)] };
  t.equal(verdict(late), 'failed: withdrawal-slow');
  const slow = [...SAMPLES.slice(0, -40), ...row(4_000, 20_000, undefined), ...row(20_000, 22_000, 'echo-1')];
  t.equal(
    verdict({ samples: slow, endedAt: 22_000 }),
    'failed: withdrawal-slow',
    'over in the end, too late',
  );
  const busy = { control: [{ ...sample(5_000, 'echo-1'), latencyMs: 700 }] };
  t.equal(verdict({ ...late, ...busy }), 'inconclusive: cpu-saturated', 'nobody inside is answered in time');
  t.equal(verdict({ ...never, ...busy }), 'inconclusive: cpu-saturated');
  t.equal(
    verdict({ ...never, ...busy, links: down }),
    'failed: control-plane-down',
    'a broken link needs no time',
  );
  t.equal(verdict({ ...late, control: [sample(5_000, 'echo-1')] }), 'failed: withdrawal-slow');
  t.equal(verdict({ samples: [sample(1, undefined)] }), 'inconclusive: control-failed');
  t.equal(verdict(none), 'inconclusive: probe-failed');
});
