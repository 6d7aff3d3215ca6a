import t from 'tap';
import { parseConfig } from '../../../../lib/provider/lab/controller/parse.ts';
import { configWith, pods, sharedWeb, web } from './fixtures/services.ts';

const good = configWith([web, { ...pods, shared: { preference: 'spread' } }]);

void t.test('a configuration comes back as it was written', async (t) => {
  t.strictSame(parseConfig(JSON.stringify(good)), good);
});

void t.test('a bad one says where', async (t) => {
  const bad = (change: object) => () => parseConfig(JSON.stringify({ ...good, ...change }));
  t.throws(() => parseConfig('{'));
  t.throws(() => parseConfig('null'));
  t.throws(bad({ cluster: 'East of Eden' }), /cluster/);
  t.throws(bad({ families: ['ipx'] }), /families/);
  t.throws(bad({ folder: 'relative' }), /folder/);
  t.throws(bad({ dns: { ipv4: 'fd00::1' } }), /dns\.ipv4/);
  t.throws(bad({ peers: [null] }), /peers/);
  t.throws(bad({ healthPeriodMs: 0 }), /healthPeriodMs/);
  t.throws(bad({ services: {} }), /services/);
  const service = (change: object) => bad({ services: [{ ...sharedWeb, ...change }] });
  t.throws(service({ spec: undefined }), /namespace/);
  t.throws(service({ shared: { preference: 'far' } }), /app\/web\.shared/);
  t.throws(service({ spec: { ...web.spec, ports: [{ name: 'x', port: 70_000, protocol: 'tcp' }] } }), /port/);
  t.throws(service({ endpoints: [{ workload: 'a\nb', addresses: {} }] }), /workload/);
  t.throws(service({ endpoints: [{ workload: 'a', addresses: { ipv4: '10.0.0.300' } }] }), /10\.0\.0\.300/);
});
