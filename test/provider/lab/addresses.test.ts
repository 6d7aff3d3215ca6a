import t from 'tap';
import type { AddressPlan } from '../../../lib/model/addressing.ts';
import { UserError } from '../../../lib/model/errors.ts';
import {
  clustersetAddresses,
  fixedEndpointAddresses,
  gatewayAddresses,
  serviceAddresses,
  workloadAddresses,
} from '../../../lib/provider/lab/addresses.ts';
import { rangesInUse } from '../../../lib/provider/ranges.ts';

const plan: AddressPlan = {
  pool: '10.0.0.0/8',
  prefix: 12,
  ipv6Pool: 'fd6d:636e:6574::/48',
  clusters: {
    east: {
      pods: { ipv4: '10.0.0.0/13', ipv6: 'fd6d:636e:6574::/64' },
      services: { ipv4: '10.8.0.0/14', ipv6: 'fd6d:636e:6574:1::/112' },
      nodes: { ipv4: '10.12.0.0/16', ipv6: 'fd6d:636e:6574:2::/64' },
    },
    west: {
      pods: { ipv4: '10.16.0.0/13' },
      services: { ipv4: '10.24.0.0/14' },
      nodes: { ipv4: '10.28.0.0/16' },
    },
  },
  wan: { ipv4: '198.18.0.0/16', ipv6: 'fd6d:636e:6574:ff00::/64' },
  tunnel: { ipv4: '198.19.0.0/16' },
};

t.test('a gateway has the first addresses of its ranges, and one by its place on the wan', async (t) => {
  t.same(gatewayAddresses(plan, ['ipv4', 'ipv6'], 'east'), {
    pods: { ipv4: '10.0.0.1', ipv6: 'fd6d:636e:6574::1' },
    node: { ipv4: '10.12.0.1', ipv6: 'fd6d:636e:6574:2::1' },
    wan: { ipv4: '198.18.0.1', ipv6: 'fd6d:636e:6574:ff00::1' },
    dns: { ipv4: '10.8.0.10', ipv6: 'fd6d:636e:6574:1::a' },
  });
  t.same(gatewayAddresses(plan, ['ipv4'], 'west').wan, { ipv4: '198.18.0.2' });
});

t.test('families that a run does not use are left out', async (t) => {
  t.same(rangesInUse(plan, ['ipv6'], 'east').pods, { ipv6: 'fd6d:636e:6574::/64' });
  t.throws(() => rangesInUse(plan, ['ipv4'], 'north'), UserError);
});

t.test('workloads follow the gateway in the order of their creation', async (t) => {
  t.same(workloadAddresses({ ipv4: '10.0.0.0/13' }, 0), { ipv4: '10.0.0.2' });
  t.same(workloadAddresses({ ipv4: '10.0.0.0/13' }, 300), { ipv4: '10.0.1.46' });
  t.throws(() => workloadAddresses({ ipv4: '10.0.0.0/30' }, 2), UserError, 'a full range is said');
});

t.test('a service has one address in each half of the range', async (t) => {
  const range = { ipv4: '10.8.0.0/14', ipv6: 'fd6d:636e:6574:1::/112' };
  t.same(serviceAddresses(range, 0), { ipv4: '10.8.0.16', ipv6: 'fd6d:636e:6574:1::10' });
  t.same(clustersetAddresses(range, 0), { ipv4: '10.10.0.16', ipv6: 'fd6d:636e:6574:1::8010' });
  t.throws(() => serviceAddresses({ ipv4: '10.8.0.0/27' }, 0), UserError, 'the halves never mix');
});

t.test('fixed endpoints come from the end, away from workloads', async (t) => {
  t.same(fixedEndpointAddresses({ ipv4: '10.0.0.0/24' }, 2), [
    { ipv4: '10.0.0.254' },
    { ipv4: '10.0.0.253' },
  ]);
  t.same(fixedEndpointAddresses({ ipv6: 'fd00::/64' }, 1), [{ ipv6: 'fd00::fffe' }]);
});
