import t from 'tap';
import { parseConfig } from '../../../../lib/provider/lab/controller/parse.ts';
import { configWith, pods, sharedWeb, web } from './fixtures/services.ts';

const good = configWith([web, { ...pods, shared: { preference: 'spread' } }]);

void t.test('a configuration comes back as it was written', async (test) => {
  test.strictSame(parseConfig(JSON.stringify(good)), good);
});

void t.test('a bad one says where', async (test) => {
  const bad = (change: object) => () => parseConfig(JSON.stringify({ ...good, ...change }));
  test.throws(() => parseConfig('{'));
  test.throws(() => parseConfig('null'));
  test.throws(bad({ cluster: 'East of Eden' }), /cluster/);
  test.throws(bad({ families: ['ipx'] }), /families/);
  test.throws(bad({ folder: 'relative' }), /folder/);
  test.throws(bad({ dns: { ipv4: 'fd00::1' } }), /dns\.ipv4/);
  test.throws(bad({ peers: [null] }), /peers/);
  test.throws(bad({ healthPeriodMs: 0 }), /healthPeriodMs/);
  test.throws(bad({ services: {} }), /services/);
  const service = (change: object) => bad({ services: [{ ...sharedWeb, ...change }] });
  test.throws(service({ spec: undefined }), /namespace/);
  test.throws(service({ shared: { preference: 'far' } }), /app\/web\.shared/);
  test.throws(
    service({ spec: { ...web.spec, ports: [{ name: 'x', port: 70_000, protocol: 'tcp' }] } }),
    /port/,
  );
  test.throws(service({ endpoints: [{ workload: 'a\nb', addresses: {} }] }), /workload/);
  test.throws(
    service({ endpoints: [{ workload: 'a', addresses: { ipv4: '10.0.0.300' } }] }),
    /10\.0\.0\.300/,
  );
});
