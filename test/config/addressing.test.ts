import t from 'tap';
import { planAddresses } from '../../lib/config/addressing.ts';
import { RANGE_KINDS } from '../../lib/model/addressing.ts';
import { overlaps, parseCidr } from '../../lib/model/cidr.ts';
import { refusal } from './fixtures/written.ts';

const fleet = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `c${index + 1}` }));
const request = {
  families: ['ipv4', 'ipv6'] as const,
  pool: '10.0.0.0/8',
  prefix: 12,
  ipv6Pool: 'fd6d:636e:6574::/48',
};

void t.test('the first sites get the plain blocks, one after the other', async (t) => {
  const { clusters } = planAddresses({ ...request, clusters: fleet(3) });
  t.strictSame(clusters['c2'], {
    pods: { ipv4: '10.16.0.0/13', ipv6: 'fd6d:636e:6574:100::/64' },
    services: { ipv4: '10.24.0.0/14', ipv6: 'fd6d:636e:6574:101::/112' },
    nodes: { ipv4: '10.28.0.0/16', ipv6: 'fd6d:636e:6574:102::/64' },
  });
});

void t.test('a hundred clusters, none overlapping another, the wan or the tunnel', async (t) => {
  const plan = planAddresses({ ...request, clusters: fleet(100) });
  const ranges = [
    ...Object.values(plan.clusters).flatMap((cluster) => RANGE_KINDS.map((kind) => cluster[kind])),
    plan.wan,
    plan.tunnel,
  ];
  for (const family of request.families) {
    const blocks = ranges.map((range) => parseCidr(range[family] as string));
    t.notOk(
      blocks.some((one, index) => blocks.slice(index + 1).some((other) => overlaps(one, other))),
      family,
    );
  }
});

void t.test('a growing fleet renumbers nobody', async (t) => {
  const small = planAddresses({ ...request, clusters: fleet(20) });
  const large = planAddresses({ ...request, clusters: fleet(60) });
  t.match(large.clusters, small.clusters);
});

void t.test('pools that are used up or unfit', async (t) => {
  const cases = [
    { pool: '10.0.0.0/14', prefix: 16 },
    { pool: '10.0.0.0/16', prefix: 12 },
    { ipv6Pool: 'fd00::/53' },
    { ipv6Pool: 'fd00::/56' },
    { ipv6Pool: 'fc00::/7' },
  ];
  for (const wrong of cases) {
    const error = refusal(t, () => planAddresses({ ...request, ...wrong, clusters: fleet(30) }));
    t.match(error.where, /^addressing\./, JSON.stringify(wrong));
  }
});
