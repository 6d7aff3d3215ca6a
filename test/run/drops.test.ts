import t from 'tap';
import type { Fleet, Profile } from '../../lib/model/cluster.ts';
import { failed, passed } from '../../lib/model/verdict.ts';
import { describeDrops, endpointsOf, targetsIn, withDrops } from '../../lib/run/drops.ts';
import { judgeAgain } from '../../lib/run/judge.ts';
import { registryOf } from '../../lib/run/registry.ts';
import { checkOf, plannedCase, suiteOf } from './support.ts';

const drop = { reason: 'policy denied', source: '10.0.0.5', destination: '10.16.0.9', port: 'TCP 7000' };
const addresses = new Map([
  ['east/x/a', ['10.0.0.5']],
  ['west/x/b', ['10.16.0.9']],
  ['east/x/c', ['10.0.0.6']],
]);

t.test('what was dropped of the caller’s packets is named, what others lost is not', async (t) => {
  const told = [
    { ...drop, packets: 2, cluster: 'west' },
    { ...drop, source: '10.0.0.6', packets: 9, cluster: 'west' },
    { ...drop, reason: 'stale or unroutable ip', destination: '10.16.0.7', packets: 1, cluster: 'east' },
  ];
  const anybody = new Set<string>();
  t.equal(
    describeDrops(told, 'east/x/a', anybody, addresses),
    'policy denied, east/x/a → west/x/b TCP 7000, 2 packets in west; stale or unroutable ip, east/x/a → 10.16.0.7 TCP 7000, 1 packet in east',
  );
  t.equal(describeDrops(told, 'east/gateway', anybody, addresses), undefined);
  const many = Array.from({ length: 5 }, (_, index) => ({ ...told[0]!, port: `TCP ${index}` }));
  t.match(describeDrops(many, 'east/x/a', anybody, addresses), /; and 2 more$/);
  const target = new Set(['10.16.0.9']);
  t.equal(
    describeDrops(told, 'east/x/a', target, addresses),
    'policy denied, east/x/a → west/x/b TCP 7000, 2 packets in west',
    'what the same caller lost elsewhere is another case’s',
  );
  const back = { ...drop, source: drop.destination, destination: drop.source, packets: 1, cluster: 'east' };
  t.match(describeDrops([back], 'east/x/a', target, addresses), /west\/x\/b → east\/x\/a/, 'answers count');
  t.equal(describeDrops(told, 'east/x/a', new Set(['10.16.0.8']), addresses), undefined);
});

t.test('a target is whom the command calls, or who is behind the service that it calls', async (t) => {
  const endpoints = new Map([['10.11.0.7', ['10.0.0.9', '10.16.0.9']]]);
  const targets = (command: string) => [...targetsIn(command, endpoints, ['10.11.0.10'])];
  t.same(targets("timeout 3 bash -c 'exec 3<>/dev/tcp/10.16.0.9/7000; head -n 1 <&3'"), ['10.16.0.9']);
  t.same(targets('curl -sS -m 1 http://10.11.0.7:8080/echo'), ['10.11.0.7', '10.0.0.9', '10.16.0.9']);
  t.same(targets('ping -c 5 fd00:10::9'), ['fd00:10::9']);
  t.same(targets('curl http://[fd00:10::9]:8080/echo'), ['fd00:10::9']);
  t.same(targets('dig @10.11.0.10 echo.mcnet.svc.cluster.local'), [], 'who is behind it is not known');
  t.same(targets('echo 12:30:00 300.1.2.3'), []);
  t.same(targets('curl http://echo.mcnet.svc.cluster.local'), []);
});

t.test('who is behind a service, in every cluster', async (t) => {
  const service = {
    name: 's',
    namespace: 'x',
    selector: { app: 'b' },
    ports: [],
    healthPort: 1,
    onlyIn: ['east'],
  };
  const cluster = (name: string, ipv4: string, app: string) => ({
    name,
    workloads: [{ spec: { namespace: 'x', name: app, labels: { app } }, addresses: { ipv4 } }],
    serviceAddress: () => ({ name: 's', addresses: { ipv4: `${name}-address` } }),
  });
  const fleetOfBoth = { clusters: [cluster('east', '10.0.0.9', 'a'), cluster('west', '10.16.0.9', 'b')] };
  const shared = {
    supports: () => true as const,
    addressFrom: () => ({ name: 's', addresses: { ipv4: 'shared-address' } }),
  };
  const sources = { profile: { handlers: [shared] }, provider: { handlers: [] }, fleet: fleetOfBoth };
  t.same(
    [...endpointsOf(sources as unknown as Parameters<typeof endpointsOf>[0], [service])],
    [
      ['east-address', ['10.16.0.9']],
      ['shared-address', ['10.16.0.9']],
    ],
  );
});

const workloads = (name: string) =>
  [...addresses]
    .filter(([key]) => key.startsWith(`${name}/`))
    .map(([key, [ipv4]]) => {
      const [, namespace, workload] = key.split('/');
      return { spec: { namespace, name: workload }, addresses: { ipv4 } };
    });
const fleet = {
  clusters: ['east', 'west'].map((name) => ({ name, dns: {}, workloads: workloads(name) })),
} as unknown as Fleet;
const details = { expected: 'e', seen: 's', reproduce: { at: 'east/x/a', command: 'true' } };

t.test('only failures that name their caller are asked about, and silence changes nothing', async (t) => {
  const asked: string[] = [];
  const notes: string[] = [];
  const profile = {
    drops: async ({ name }: { name: string }, _since: Date, of: readonly string[]) => {
      asked.push(`${name}: ${of.join()}`);
      return name === 'west' ? [{ ...drop, packets: 3 }] : [];
    },
  } as unknown as Profile;
  const facts = {
    fleet,
    profile,
    endpoints: () => new Map(),
    note: (why: string) => void notes.push(why),
    signal: new AbortController().signal,
  };
  const planned = plannedCase({ id: 's.a[east->west]' });
  const bad = failed('request-lost', 'bad', details);
  t.equal((await withDrops(passed('fine'), planned, new Date(), facts)).dropped, undefined);
  const { reproduce: _unknown, ...nobody } = details;
  t.equal(
    (await withDrops(failed('request-lost', 'bad', nobody), planned, new Date(), facts)).dropped,
    undefined,
  );
  t.strictSame(asked, []);
  const explained = await withDrops(bad, planned, new Date(), facts);
  t.strictSame(asked, ['east: 10.0.0.5', 'west: 10.0.0.5']);
  t.equal(explained.dropped, 'policy denied, east/x/a → west/x/b TCP 7000, 3 packets in west');
  const own = plannedCase({ id: 's.a[east]' });
  const alone = { ...own, expectation: { ...own.expectation, clusters: ['east'] } };
  const calling = { ...details, reproduce: { at: 'east/x/a', command: 'curl http://10.11.0.7:80' } };
  const behind = { ...facts, endpoints: () => new Map([['10.11.0.7', ['10.16.0.9']]]) };
  asked.length = 0;
  t.ok((await withDrops(failed('request-lost', 'bad', calling), alone, new Date(), behind)).dropped);
  t.strictSame(asked, ['east: 10.0.0.5', 'west: 10.0.0.5'], 'so is the cluster of who is behind a service');
  const silent = {
    ...facts,
    profile: { drops: () => Promise.reject(new Error('no Hubble here')) } as unknown as Profile,
  };
  t.same(await withDrops(bad, planned, new Date(), silent), bad);
  t.strictSame(notes, ['no Hubble here']);
});

t.test('what the data plane said stays with a failure that is judged again', async (t) => {
  const check = checkOf('suite.check');
  const registry = registryOf([suiteOf('suite', check)]);
  const planned = plannedCase({ id: 'suite.check[east->west]' });
  const stored = (ok: boolean) =>
    judgeAgain(
      {
        planned,
        observation: { observed: { ok } },
        verdict: { ...failed('request-lost', 'bad', details), dropped: 'd' },
      },
      registry,
    ).verdict;
  t.match(stored(false), { status: 'failed', dropped: 'd' });
  t.notOk('dropped' in stored(true));
});
