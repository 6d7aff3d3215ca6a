import { readlink, writeFile } from 'node:fs/promises';
import t from 'tap';
import type { ControllerService } from '../../../../lib/provider/lab/controller/config.ts';
import { takeBack } from '../../../fixtures/takeBack.ts';
import {
  type Site,
  configOf,
  eventually,
  joinSites,
  makeSites,
  serviceOf,
  spec,
} from './fixtures/testbed.ts';

const alphabetically = (one = '', other = '') => one.localeCompare(other);
const skip = process.getuid?.() === 0 ? false : 'network namespaces need root';

void t.test('two clusters', { skip }, async (suite) => {
  const [east, west] = await makeSites();
  takeBack(suite, () => Promise.all([east.remove(), west.remove()]));
  await Promise.all([east.create(), west.create()]);
  await joinSites(east, west);
  const [client, a, b, remote, fourth] = await Promise.all([
    east.addWorkload('client', 2),
    east.addWorkload('a', 3),
    east.addWorkload('b', 4),
    west.addWorkload('c', 3),
    west.addWorkload('client', 2),
  ]);
  await Promise.all([a.serve(), b.serve(), remote.serve()]);
  const LARGE = 64;

  const servicesOf = (site: Site): ControllerService[] => {
    const backends = site === east ? { a: 3, b: 4 } : { c: 3 };
    const fixed = Object.fromEntries(
      Array.from({ length: LARGE }, (_, index) => [`fixed-${index}`, 100 + index]),
    );
    return [
      serviceOf(site, 20, spec('web'), backends, 'spread'),
      serviceOf(site, 21, spec('near'), backends, 'prefer-local'),
      serviceOf(site, 22, spec('own'), backends),
      serviceOf(site, 23, spec('pods', { headless: true }), backends, 'spread'),
      serviceOf(site, 24, spec('none'), {}),
      serviceOf(site, 25, spec('large', { headless: true, fixedEndpoints: LARGE }), fixed),
    ];
  };
  east.startController();
  west.startController();
  suite.strictSame(await east.reload(configOf(east, west, servicesOf(east))), { ok: true });
  suite.strictSame(await west.reload(configOf(west, east, servicesOf(west))), { ok: true });

  /** Who answers at an address, over several calls. */
  const answerers = async (address: string, calls = 6) => {
    const answers = [];
    for (let call = 0; call < calls; call++) answers.push((await client.get(address)).split(' ')[0]);
    return [...new Set(answers)].toSorted(alphabetically);
  };
  const WEB_SET = east.service(120);
  const NEAR_SET = east.service(121);
  const addressesOf = async (name: string, type: 'A' | 'AAAA' = 'A') =>
    (await client.resolve(east.dns, name, type)).answers.toSorted();

  await suite.test(
    'a service address leads to the own endpoints, as soon as reload has answered',
    async (test) => {
      test.strictSame(await answerers(east.service(22)), ['east/a', 'east/b']);
      test.strictSame(await answerers(east.serviceIpv6(22)), ['east/a', 'east/b']);
      test.match(await client.datagram(east.service(22)), /^east\//);
      test.match(await client.datagram(east.serviceIpv6(22)), /^east\//);
      test.match(await client.get(east.service(22)), east.pod(2), 'the source address is kept');
    },
  );

  await suite.test('the shared address spreads over both clusters, or prefers its own', async (test) => {
    await eventually(
      () => answerers(WEB_SET),
      (seen) => seen.length === 3,
    );
    test.strictSame(await answerers(NEAR_SET), ['east/a', 'east/b']);
    test.strictSame(await answerers(east.service(20)), ['east/a', 'east/b'], 'cluster.local stays local');
    test.match(await fourth.get(east.service(22)), /^east\//, 'a remote caller may use the service address');
  });

  await suite.test('without endpoints, or on another port, callers are refused at once', async (test) => {
    for (const address of [east.service(24), east.serviceIpv6(24)]) {
      test.equal(await client.get(address), 'ECONNREFUSED');
      test.equal(await client.datagram(address), 'ECONNREFUSED');
    }
    test.equal(await client.get(east.service(22), 81), 'ECONNREFUSED');
    test.equal(await fourth.get(east.service(24)), 'ECONNREFUSED', 'from the other cluster too');
  });

  await suite.test('a workload reaches itself through its service', async (test) => {
    const seen = new Set(
      [await a.get(east.service(22)), await a.get(east.service(22))].map((x) => x.split(' ')[0]),
    );
    test.strictSame([...seen].toSorted(alphabetically), ['east/a', 'east/b']);
    const seenIpv6 = new Set(
      [await a.get(east.serviceIpv6(22)), await a.get(east.serviceIpv6(22))].map((x) => x.split(' ')[0]),
    );
    test.strictSame([...seenIpv6].toSorted(alphabetically), ['east/a', 'east/b']);
  });

  await suite.test('names', async (test) => {
    const name = (service: string, zone: string) => `${service}.app.svc.${zone}`;
    test.strictSame(await addressesOf(name('web', 'cluster.local')), [east.service(20)]);
    test.strictSame(await addressesOf(name('web', 'cluster.local'), 'AAAA'), [east.serviceIpv6(20)]);
    test.strictSame(await addressesOf(name('web', 'clusterset.local')), [WEB_SET]);
    test.strictSame(await client.resolve(east.dnsIpv6, name('web', 'clusterset.local')), {
      rcode: 'NOERROR',
      truncated: false,
      answers: [WEB_SET],
    });
    test.match(await client.resolve(east.dns, name('own', 'clusterset.local')), { rcode: 'NXDOMAIN' });
    test.match(await client.resolve(east.dns, name('unknown', 'cluster.local')), { rcode: 'NXDOMAIN' });
    test.strictSame(
      (await client.resolve(east.dns, `_http._tcp.${name('web', 'clusterset.local')}`, 'SRV')).answers,
      [`${name('web', 'clusterset.local')}:8080`],
    );
    test.strictSame(
      (
        await client.resolve(east.dns, `_echo._udp.${name('pods', 'cluster.local')}`, 'SRV')
      ).answers.toSorted(),
      [`a.${name('pods', 'cluster.local')}:8080`, `b.${name('pods', 'cluster.local')}:8080`],
    );
    test.strictSame(await addressesOf(name('pods', 'cluster.local')), [east.pod(3), east.pod(4)]);
    test.strictSame(await addressesOf(`a.${name('pods', 'cluster.local')}`), [east.pod(3)]);
    await eventually(
      () => addressesOf(name('pods', 'clusterset.local')),
      (seen) => seen.join() === [east.pod(3), east.pod(4), west.pod(3)].join(),
    );
    test.strictSame(await addressesOf(`c.west.${name('pods', 'clusterset.local')}`), [west.pod(3)]);
  });

  await suite.test('an answer too large for a datagram is truncated, and whole by TCP', async (test) => {
    const name = 'large.app.svc.cluster.local';
    test.match(await client.resolve(east.dns, name), { truncated: true });
    for (const over of ['edns', 'tcp'] as const) {
      const answer = await client.resolve(east.dns, name, 'A', over);
      test.match(answer, { truncated: false });
      test.equal(new Set(answer.answers).size, LARGE);
    }
  });

  await suite.test('rules, names and peers follow health', async (test) => {
    await a.close();
    await eventually(
      () => answerers(east.service(22)),
      (seen) => seen.join() === 'east/b',
    );
    await b.hold();
    await eventually(
      () => answerers(NEAR_SET),
      (seen) => seen.join() === 'west/c',
    );
    test.equal(await client.get(east.service(22)), 'ECONNREFUSED');
    const headless = 'pods.app.svc.cluster.local';
    // The DNS server reads its records a moment after the rules are in force.
    await eventually(
      () => client.resolve(east.dns, headless),
      ({ answers }) => answers.length === 0,
    );
    test.strictSame(
      await client.resolve(east.dns, headless),
      { rcode: 'NOERROR', truncated: false, answers: [] },
      'no data, yet the name exists',
    );
    await eventually(
      () => addressesOf('pods.app.svc.clusterset.local'),
      (seen) => seen.join() === west.pod(3),
    );
    test.match(await east.ask({ method: 'status' }), {
      ok: true,
      status: {
        services: [
          {
            service: 'app/web',
            endpoints: [
              { workload: 'a', health: 'down' },
              { workload: 'a', health: 'down' },
              { workload: 'b', health: 'down' },
              { workload: 'b', health: 'down' },
              { cluster: 'west', workload: 'c', health: 'up' },
            ],
          },
        ],
      },
    });
    await Promise.all([a.serve(), b.serve()]);
    await eventually(
      () => answerers(NEAR_SET),
      (seen) => seen.join() === 'east/a,east/b',
    );
    await eventually(
      () => addressesOf(headless),
      (seen) => seen.length === 2,
    );
    test.match(east.log, new RegExp(`${east.pod(3)} port 8080 is down: .*ECONNREFUSED`));
    test.match(east.log, new RegExp(`${east.pod(4)} port 8080 is down: no answer in`));
  });

  await suite.test('a peer that falls silent loses its endpoints until it answers again', async (test) => {
    await east.inside('ip', 'link', 'set', 'wan', 'down');
    await eventually(
      () => answerers(WEB_SET),
      (seen) => seen.join() === 'east/a,east/b',
    );
    await eventually(
      () => addressesOf('pods.app.svc.clusterset.local'),
      (seen) => seen.join() === [east.pod(3), east.pod(4)].join(),
    );
    test.strictSame(await answerers(WEB_SET), ['east/a', 'east/b'], 'nobody else comes back by itself');
    await joinAgain();
    await eventually(
      () => answerers(WEB_SET),
      (seen) => seen.length === 3,
    );
  });

  await suite.test(
    'reload takes services away and leaves the old state with a bad configuration',
    async (test) => {
      test.match(await east.ask('rubbish'), { ok: false });
      test.match(await east.ask('null'), { ok: false });
      const [web, ...others] = servicesOf(east);
      const bad = { ...configOf(east, west, [web!]), dns: { ipv4: '10.1.2.10; flush ruleset' } };
      test.match(await east.reload(bad), { ok: false, error: /dns|address/ });
      test.strictSame(await answerers(east.service(20)), ['east/a', 'east/b']);
      test.strictSame(await east.reload(configOf(east, west, others)), { ok: true });
      test.match(await client.resolve(east.dns, 'web.app.svc.cluster.local'), { rcode: 'NXDOMAIN' });
    },
  );

  await suite.test(
    'a DNS server that was ended or edited by hand stays so until records change',
    async (test) => {
      const name = 'own.app.svc.cluster.local';
      const current = configOf(east, west, servicesOf(east));
      await east.reload(current);
      const dnsPid = async () => {
        const reply = await east.ask({ method: 'status' });
        return reply.ok ? reply.status?.dnsPid : undefined;
      };
      const hosts = `${east.folder}/dnsmasq.hosts`;
      await writeFile(
        hosts,
        (await east.file('dnsmasq.hosts')).replace(`${east.service(22)} `, '192.0.2.9 '),
      );
      process.kill((await dnsPid())!, 'SIGHUP');
      await eventually(
        () => addressesOf(name),
        (seen) => seen.join() === '192.0.2.9',
      );
      test.strictSame(await east.reload(current), { ok: true });
      test.strictSame(await addressesOf(name), ['192.0.2.9']);
      process.kill((await dnsPid())!, 'SIGSTOP');
      await a.close();
      await eventually(
        () => answerers(east.service(22)),
        (seen) => seen.join() === 'east/b',
      );
      test.strictSame(await east.reload(current), { ok: true }, 'nothing to do for the DNS server');
      process.kill((await dnsPid())!, 'SIGKILL');
      await a.serve();
      await eventually(
        () => answerers(east.service(22)),
        (seen) => seen.length === 2,
      );
      test.equal(await dnsPid(), undefined);
      test.strictSame(await east.reload(configOf(east, west, servicesOf(east).slice(1))), { ok: true });
      test.strictSame(await addressesOf(name), [east.service(22)], 'new records start it again');
    },
  );

  await suite.test('a stopped DNS server is replaced by a reload with other records', async (test) => {
    const pid = ((await east.ask({ method: 'status' })) as { status: { dnsPid: number } }).status.dnsPid;
    process.kill(pid, 'SIGSTOP');
    test.strictSame(await east.reload(configOf(east, west, servicesOf(east))), { ok: true });
    test.strictSame(await addressesOf('web.app.svc.cluster.local'), [east.service(20)]);
  });

  await suite.test('SIGTERM ends it with its DNS server', async (test) => {
    const pid = ((await east.ask({ method: 'status' })) as { status: { dnsPid: number } }).status.dnsPid;
    test.equal(await east.stopController(), 0);
    await test.rejects(readlink(`/proc/${pid}/exe`), { code: 'ENOENT' });
    await test.rejects(east.file('controller.sock'), { code: 'ENOENT' });
  });

  async function joinAgain(): Promise<void> {
    const inEast = (...args: string[]) => east.inside('ip', ...args);
    await inEast('link', 'set', 'wan', 'up');
    await inEast('route', 'replace', '10.2.0.0/16', 'via', '192.0.2.2');
    await inEast('address', 'replace', 'fd00::1/64', 'dev', 'wan', 'nodad');
    await inEast('-6', 'route', 'replace', 'fd00:2::/32', 'via', 'fd00::2');
  }
});
