import t from 'tap';
import { endpointsBehind, merge, stateOf } from '../../../../lib/provider/lab/controller/state.ts';
import { configWith, endpoint, sharedWeb, stateWith, web } from './fixtures/services.ts';

const near = [endpoint('east', 'a', '10.0.0.3')];
const far = [endpoint('west', 'c', '10.16.0.3')];

void t.test('what stands behind a shared address', async (test) => {
  test.strictSame(merge(near, far, 'spread'), [...near, ...far]);
  test.strictSame(merge(near, far, 'prefer-local'), near);
  test.strictSame(merge([], far, 'prefer-local'), far);
  test.strictSame(merge([], [], 'prefer-local'), []);
});

void t.test('each family prefers its own local endpoints', async (test) => {
  const state = stateWith(sharedWeb, near, [...far, endpoint('west', 'c', 'fd00:16::3')]);
  test.strictSame(endpointsBehind(state, 'clusterset.local', 'ipv4'), near);
  test.strictSame(endpointsBehind(state, 'clusterset.local', 'ipv6'), [endpoint('west', 'c', 'fd00:16::3')]);
  test.strictSame(
    endpointsBehind(state, 'cluster.local', 'ipv6'),
    [],
    'no remote endpoints in cluster.local',
  );
  test.strictSame(endpointsBehind(stateWith(web, near, far), 'clusterset.local', 'ipv4'), []);
});

void t.test('only healthy backends, and remote ones only of shared services', async (test) => {
  const fixed = { ...web, spec: { ...web.spec, name: 'fixed', fixedEndpoints: 2 } };
  const [own, shared, always] = stateOf(
    configWith([web, { ...sharedWeb, spec: { ...web.spec, name: 'shared' } }, fixed]),
    (address, port) => address === '10.0.0.4' && port === 8080,
    () => far,
  );
  test.strictSame(own?.local, [endpoint('east', 'b', '10.0.0.4')]);
  test.strictSame(own?.remote, []);
  test.strictSame(shared?.remote, far);
  test.equal(always?.local.length, 4, 'fixed endpoints have no health');
});
