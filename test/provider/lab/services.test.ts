import t from 'tap';
import { UserError } from '../../../lib/model/errors.ts';
import type { ServiceSpec, WorkloadSpec } from '../../../lib/model/workload.ts';
import { controllerConfig, localAddress, sharedAddress } from '../../../lib/provider/lab/services.ts';
import {
  type FleetState,
  clusterState,
  newFleetState,
  serviceOrder,
} from '../../../lib/provider/lab/state.ts';

const ranges = (index: number) => ({
  pods: { ipv4: `10.${index}.0.0/17` },
  services: { ipv4: `10.${index}.128.0/18` },
  nodes: { ipv4: `10.${index}.192.0/20` },
});
const echo: ServiceSpec = {
  name: 'echo',
  namespace: 'mcnet',
  selector: { app: 'echo' },
  ports: [{ name: 'http', port: 8080, protocol: 'tcp' }],
  healthPort: 8080,
};
const workload = (name: string, app: string, namespace = 'mcnet'): WorkloadSpec => ({
  name,
  namespace,
  labels: { app },
});

function fleet(): FleetState {
  const names = ['east', 'west', 'north'];
  const state = newFleetState({
    run: 'abc123',
    names,
    topology: {
      kind: 'hub-and-spoke',
      hub: 'east',
      members: [
        { name: 'east' },
        { name: 'west', segments: ['prod'] },
        { name: 'north', segments: ['staging'] },
      ],
    },
    plan: {
      pool: '10.0.0.0/8',
      prefix: 16,
      ipv6Pool: 'fd00::/48',
      clusters: Object.fromEntries(names.map((name, index) => [name, ranges(index)])),
      wan: { ipv4: '198.18.0.0/16' },
      tunnel: { ipv4: '198.19.0.0/16' },
    },
    families: ['ipv4'],
  });
  clusterState(state, 'east').workloads.push(
    workload('client', 'client'),
    null,
    workload('echo-1', 'echo'),
    workload('echo-1', 'echo', 'elsewhere'),
  );
  clusterState(state, 'east').services = [echo];
  serviceOrder(state, echo);
  return state;
}

t.test('endpoints are the workloads of the namespace that the selector means, by their place', async (t) => {
  const { services, dns, listen } = controllerConfig(fleet(), 'east');
  t.same(services, [
    {
      spec: echo,
      clusterIps: { ipv4: '10.0.128.16' },
      clustersetIps: {},
      endpoints: [{ workload: 'echo-1', addresses: { ipv4: '10.0.0.4' } }],
    },
  ]);
  t.same([dns, listen], [{ ipv4: '10.0.128.10' }, { ipv4: '10.0.192.1' }]);
});

t.test('controllers ask only clusters that the topology lets them reach', async (t) => {
  const peersOf = (cluster: string) => controllerConfig(fleet(), cluster).peers.map((peer) => peer.cluster);
  t.same(peersOf('east'), ['west', 'north']);
  t.same(peersOf('west'), ['east']);
});

t.test('of a cluster beyond the hub the hub tells, where it may use both ends itself', async (t) => {
  const withSegments = (segments: Record<string, readonly string[]>) => {
    const state = fleet();
    const members = state.names.map((name) => ({ name, segments: segments[name] ?? [] }));
    return { ...state, topology: { ...state.topology, members } };
  };
  const tellers = (state: FleetState, cluster: string) =>
    controllerConfig(state, cluster).peers.map((peer) => [peer.cluster, peer.via ?? peer.cluster]);
  const open = withSegments({});
  t.same(tellers(open, 'east'), [
    ['west', 'west'],
    ['north', 'north'],
  ]);
  t.same(tellers(open, 'west'), [
    ['east', 'east'],
    ['north', 'east'],
  ]);
  const transitOnly = withSegments({ east: ['hub'], west: ['prod'], north: ['prod'] });
  t.same(tellers(transitOnly, 'east'), []);
  t.same(tellers(transitOnly, 'west'), [['north', 'north']]);
});

t.test('a shared service has a name everywhere, with an address of the caller’s own cluster', async (t) => {
  const state = fleet();
  clusterState(state, 'east').shares = [
    { kind: 'share-service', namespace: 'mcnet', service: 'echo', preference: 'prefer-local' },
  ];
  t.match(controllerConfig(state, 'east').services, [
    { clustersetIps: { ipv4: '10.0.160.16' }, shared: { preference: 'prefer-local' } },
  ]);
  t.same(controllerConfig(state, 'west').services, [
    {
      spec: echo,
      clusterIps: {},
      clustersetIps: { ipv4: '10.1.160.16' },
      shared: { preference: 'prefer-local' },
      endpoints: [],
    },
  ]);
  t.same(sharedAddress(state, 'west', echo), {
    name: 'echo.mcnet.svc.clusterset.local',
    addresses: { ipv4: '10.1.160.16' },
  });
});

t.test('a headless service has no address, one with fixed endpoints has those', async (t) => {
  const state = fleet();
  clusterState(state, 'east').services = [{ ...echo, headless: true }];
  t.same(localAddress(state, 'east', echo), { name: 'echo.mcnet.svc.cluster.local', addresses: {} });
  clusterState(state, 'east').services = [{ ...echo, fixedEndpoints: 2 }];
  t.same(controllerConfig(state, 'east').services[0]?.endpoints, [
    { workload: 'fixed-0', addresses: { ipv4: '10.0.127.254' } },
    { workload: 'fixed-1', addresses: { ipv4: '10.0.127.253' } },
  ]);
});

t.test('a service that is nowhere is said', async (t) => {
  t.throws(() => localAddress(fleet(), 'west', echo), UserError);
  t.throws(() => sharedAddress(fleet(), 'west', { namespace: 'mcnet', name: 'other' }), UserError);
});
