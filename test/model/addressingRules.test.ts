import t from 'tap';
import { planAddresses } from '../../lib/config/addressing.ts';
import { type AddressPlan, RANGE_KINDS } from '../../lib/model/addressing.ts';
import {
  type AddressNeeds,
  type Conflict,
  type Judgement,
  judgeAddressing,
  prefixFor,
} from '../../lib/model/addressingRules.ts';
import { overlaps, parseCidr } from '../../lib/model/cidr.ts';

const needs: AddressNeeds = { pods: 256, services: 64, nodes: 8 };
type Request = Parameters<typeof planAddresses>[0];
const planOf = (clusters: Request['clusters'], more: Partial<Request> = {}): AddressPlan =>
  planAddresses({
    clusters,
    families: ['ipv4', 'ipv6'],
    pool: '10.0.0.0/8',
    prefix: 12,
    ipv6Pool: 'fd6d:636e:6574::/48',
    ...more,
  });
const fleet = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `c${index + 1}` }));

/** The plan with every proposal followed. */
function follow(plan: AddressPlan, { proposals }: Judgement): AddressPlan {
  const clusters = structuredClone(plan.clusters) as unknown as Record<
    string,
    Record<string, Record<string, string>>
  >;
  for (const { instead, free } of proposals) {
    const family = instead.cidr.includes(':') ? 'ipv6' : 'ipv4';
    clusters[instead.cluster!]![instead.kind]![family] = free!;
  }
  return { ...plan, clusters } as unknown as AddressPlan;
}

const shown = (conflict: Conflict): string =>
  conflict.kind === 'overlap'
    ? [conflict.first, conflict.second].map(({ cluster, kind }) => `${cluster} ${kind}`).join(' and ') +
      ` share ${conflict.shared}`
    : `${conflict.range.cluster} ${conflict.range.kind} ${conflict.kind}`;

void t.test('the default plan is free of conflicts, for one cluster as for a hundred', async (test) => {
  for (const count of [1, 2, 15, 16, 100]) {
    test.strictSame(judgeAddressing(planOf(fleet(count)), needs), { conflicts: [], proposals: [] });
  }
});

void t.test(
  'an overlap names both owners and the shared block; the later one gets a free range',
  async (test) => {
    const plan = planOf([{ name: 'east' }, { name: 'west', pods: { ipv4: '10.1.0.0/16' } }]);
    const judgement = judgeAddressing(plan, needs);
    test.strictSame(judgement.conflicts, [
      {
        kind: 'overlap',
        first: { cluster: 'east', kind: 'pods', cidr: '10.0.0.0/13' },
        second: { cluster: 'west', kind: 'pods', cidr: '10.1.0.0/16' },
        shared: '10.1.0.0/16',
      },
    ]);
    test.strictSame(judgement.proposals, [
      { instead: { cluster: 'west', kind: 'pods', cidr: '10.1.0.0/16' }, free: '10.32.0.0/16' },
    ]);
  },
);

void t.test('overlaps inside a cluster, with the wan, with the tunnel, in either family', async (test) => {
  const plan = planOf([
    {
      name: 'east',
      pods: { ipv4: '10.0.0.0/16', ipv6: 'fd00:1::/48' },
      services: { ipv4: '10.0.128.0/20', ipv6: 'fd00:1:0:9::/112' },
    },
    { name: 'west', nodes: { ipv4: '198.18.7.0/24' }, pods: { ipv4: '198.0.0.0/8' } },
  ]);
  test.strictSame(
    judgeAddressing(plan, needs)
      .conflicts.filter(({ kind }) => kind === 'overlap')
      .map(shown),
    [
      'east pods and east services share 10.0.128.0/20',
      'undefined wan and west pods share 198.18.0.0/16',
      'west pods and west nodes share 198.18.7.0/24',
      'undefined wan and west nodes share 198.18.7.0/24',
      'undefined tunnel and west pods share 198.19.0.0/16',
      'east pods and east services share fd00:1:0:9::/112',
    ],
  );
});

void t.test('a range outside the pool, also one that is larger than the pool', async (test) => {
  const plan = planOf([
    { name: 'east', pods: { ipv4: '172.16.0.0/16' } },
    { name: 'west', nodes: { ipv6: 'fd00::/16' } },
  ]);
  const { conflicts, proposals } = judgeAddressing(plan, needs);
  test.strictSame(conflicts.filter(({ kind }) => kind === 'outside').map(shown), [
    'east pods outside',
    'west nodes outside',
  ]);
  test.equal(proposals.find(({ instead }) => instead.cluster === 'east')?.free, '10.32.0.0/16');
  test.equal(proposals.find(({ instead }) => instead.kind === 'nodes')?.free, 'fd6d:636e:6574:202::/64');
});

void t.test('a range that is too small gets one that is large enough', async (test) => {
  const plan = planOf([{ name: 'east', services: { ipv4: '10.8.0.0/27' } }, { name: 'west' }]);
  test.strictSame(judgeAddressing(plan, needs), {
    conflicts: [
      {
        kind: 'too-small',
        range: { cluster: 'east', kind: 'services', cidr: '10.8.0.0/27' },
        needed: 64,
      },
    ],
    proposals: [
      { instead: { cluster: 'east', kind: 'services', cidr: '10.8.0.0/27' }, free: '10.40.0.0/26' },
    ],
  });
  test.equal(prefixFor(64, 'ipv4'), 26);
  test.equal(prefixFor(65, 'ipv4'), 25);
  test.equal(prefixFor(1, 'ipv6'), 128);
});

void t.test('sites that are too small find room in the pool, if there is any', async (test) => {
  const tight = judgeAddressing(
    planOf(fleet(2), { families: ['ipv4'], pool: '10.0.0.0/24', prefix: 26 }),
    needs,
  );
  test.equal(tight.conflicts.length, 6);
  test.ok(
    tight.proposals.some(({ free }) => free === undefined),
    'a /24 has no room for the pods of two clusters',
  );
  const roomy = planOf(fleet(2), { families: ['ipv4'], pool: '10.0.0.0/16', prefix: 26 });
  test.strictSame(judgeAddressing(follow(roomy, judgeAddressing(roomy, needs)), needs).conflicts, []);
});

void t.test('following the proposals leaves no conflict', async (test) => {
  const clumsy = {
    pods: { ipv4: '10.244.0.0/16', ipv6: 'fd00::/64' },
    services: { ipv4: '10.96.0.0/12', ipv6: 'fd00:0:0:1::/112' },
    nodes: { ipv4: '192.168.0.0/29', ipv6: 'fd00:0:0:2::/64' },
  };
  // Every cluster with the same ranges, as installers leave them; some are larger than a site's share.
  for (const count of [2, 10, 100]) {
    const plan = planOf(fleet(count).map(({ name }) => ({ name, ...clumsy })));
    const judgement = judgeAddressing(plan, needs);
    const pairs = (count * (count - 1)) / 2;
    test.equal(judgement.conflicts.filter(({ kind }) => kind === 'overlap').length, pairs * 6);
    test.ok(judgement.proposals.every(({ free }) => free !== undefined));
    const followed = follow(plan, judgement);
    test.strictSame(judgeAddressing(followed, needs).conflicts, []);
    const blocks = Object.values(followed.clusters).flatMap((ranges) =>
      RANGE_KINDS.map((kind) => parseCidr(ranges[kind].ipv4!)),
    );
    test.notOk(
      blocks.some((block, index) => blocks.slice(index + 1).some((other) => overlaps(block, other))),
    );
  }
});
