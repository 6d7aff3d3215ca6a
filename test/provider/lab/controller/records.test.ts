import t from 'tap';
import { renderDnsmasq, renderHosts } from '../../../../lib/provider/lab/controller/records.ts';
import { configWith, endpoint, pods, sharedWeb, stateWith, web } from './fixtures/services.ts';

const local = [endpoint('east', 'a', '10.0.0.3'), endpoint('east', 'a', 'fd00::3')];
const remote = [endpoint('west', 'c', '10.16.0.3')];
const config = configWith([]);

void t.test('a service has its address in each zone, whatever its health', async (test) => {
  test.equal(
    renderHosts([stateWith(web, [])], config),
    '10.8.0.20 web.app.svc.cluster.local\nfd00:8::20 web.app.svc.cluster.local\n',
  );
  test.match(renderHosts([stateWith(sharedWeb, [])], config), '10.8.1.20 web.app.svc.clusterset.local\n');
});

void t.test('a headless service has its endpoints, by workload too', async (test) => {
  test.equal(
    renderHosts([stateWith(pods, local, remote)], config),
    [
      '10.0.0.3 pods.app.svc.cluster.local a.pods.app.svc.cluster.local',
      'fd00::3 pods.app.svc.cluster.local a.pods.app.svc.cluster.local',
      '10.0.0.3 pods.app.svc.clusterset.local a.east.pods.app.svc.clusterset.local',
      'fd00::3 pods.app.svc.clusterset.local a.east.pods.app.svc.clusterset.local',
      '10.16.0.3 pods.app.svc.clusterset.local c.west.pods.app.svc.clusterset.local',
      '',
    ].join('\n'),
  );
});

void t.test('only families in use', async (test) => {
  test.notMatch(renderHosts([stateWith(web, [])], { ...config, families: ['ipv4'] }), 'fd00');
});

void t.test('an imported service exists in clusterset.local only', async (test) => {
  const imported = { ...sharedWeb, clusterIps: {}, endpoints: [] };
  test.notMatch(renderHosts([stateWith(imported, [], remote)], config), /svc\.cluster\.local/);
  test.notMatch(renderDnsmasq(configWith([imported])), /srv-host=.*svc\.cluster\.local/);
  test.match(renderDnsmasq(configWith([imported])), /srv-host=_http\._tcp\.web\.app\.svc\.clusterset\.local/);
});

void t.test('SRV records follow the configuration, not health', async (test) => {
  const srv = (service: typeof web) =>
    renderDnsmasq(configWith([service]))
      .split('\n')
      .filter((line) => line.startsWith('srv-host'));
  test.strictSame(srv(web), [
    'srv-host=_http._tcp.web.app.svc.cluster.local,web.app.svc.cluster.local,80,0,100',
    'srv-host=_echo._udp.web.app.svc.cluster.local,web.app.svc.cluster.local,7,0,100',
  ]);
  test.ok(
    srv(pods).includes(
      'srv-host=_http._tcp.pods.app.svc.clusterset.local,b.east.pods.app.svc.clusterset.local,80,0,100',
    ),
  );
});
