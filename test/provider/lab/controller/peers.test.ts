import t, { type Test } from 'tap';
import type { ControllerPeer } from '../../../../lib/provider/lab/controller/config.ts';
import {
  type EndpointsDocument,
  documentOf,
  readDocument,
} from '../../../../lib/provider/lab/controller/documents.ts';
import { Peers, beatsUntilLost } from '../../../../lib/provider/lab/controller/peers.ts';
import { endpoint } from './fixtures/services.ts';
import { eventually } from './fixtures/testbed.ts';

const PERIOD_MS = 200;

/** A controller's peers on a loopback address of its own. */
class Party {
  readonly peers: Peers;
  readonly name: string;
  readonly changes: string[] = [];
  readonly #host: string;
  readonly #others: readonly ControllerPeer[];

  constructor(test: Test, name: string, hosts: Record<string, string>, via: Record<string, string> = {}) {
    this.name = name;
    this.#host = hosts[name] as string;
    this.#others = Object.entries(hosts).flatMap(([cluster, ipv4]) => {
      const hop = via[cluster];
      return cluster === name
        ? []
        : [{ cluster, addresses: { ipv4 }, ...(hop !== undefined && { via: hop }) }];
    });
    this.peers = new Peers((cluster, cause) => void this.changes.push(`${cluster}: ${cause}`));
    test.teardown(() => this.peers.stop());
  }

  watch(): Promise<void> {
    return this.peers.watch({
      cluster: this.name,
      peers: this.#others,
      families: ['ipv4'],
      listen: { ipv4: this.#host },
      periodMs: PERIOD_MS,
    });
  }

  /** Shares `app/web` with one backend at this address. */
  share(address: string): void {
    this.peers.publish(this.name, new Map([['app/web', [endpoint(this.name, 'a', address)]]]));
  }

  known = (): string[] =>
    this.peers
      .endpointsOf('app/web')
      .map(({ cluster, address }) => `${cluster} ${address}`)
      .toSorted();
  knows = (...wanted: string[]) =>
    eventually(
      () => Promise.resolve(this.known()),
      (seen) => seen.join() === wanted.join(),
    );
}

void t.test('a peer is lost after several beats, however rare they are', async (test) => {
  test.equal(beatsUntilLost(200), 5, '1 s');
  test.equal(beatsUntilLost(330), 7, '2.3 s');
  test.equal(beatsUntilLost(1_000), 3);
  test.equal(beatsUntilLost(16_000), 2);
});

void t.test('what one controller renders, another understands', async (test) => {
  const shared = new Map([
    ['app/web', [endpoint('west', 'c', '10.16.0.3'), endpoint('west', 'c', 'fd00::3')]],
    ['app/empty', []],
  ]);
  test.strictSame(readDocument(documentOf('west', shared)), shared);
});

void t.test('rubbish from a peer gets nowhere', async (test) => {
  const read = (value: unknown) => () => readDocument(value as EndpointsDocument);
  const entry = (workload: unknown, address: unknown) => ({
    cluster: 'west',
    services: { 'app/web': [{ workload, address }] },
  });
  test.throws(read(null));
  test.throws(read({ cluster: 'no label', services: {} }), /no cluster/);
  test.throws(read({ cluster: 'west', services: { 'app/web': 'many' } }));
  test.throws(read({ cluster: 'west', services: { 'a b/c\n': [] } }));
  test.throws(read(entry('c', '10.16.0.3; flush ruleset')));
  test.throws(read(entry('c\n1.2.3.4 evil', '10.16.0.3')));
  test.throws(read(entry(undefined, undefined)));
  test.throws(
    read({ cluster: 'west', services: { 'app/web': Array.from({ length: 5000 }, () => ({})) } }),
    /more than 4096/,
  );
});

void t.test('two controllers tell each other of every change', async (test) => {
  const hosts = { east: '127.71.1.1', west: '127.71.1.2' };
  const east = new Party(test, 'east', hosts);
  const west = new Party(test, 'west', hosts);
  east.share('10.0.0.3');
  west.share('10.16.0.3');
  await Promise.all([east.watch(), west.watch()]);
  await Promise.all([east.knows('west 10.16.0.3'), west.knows('east 10.0.0.3')]);
  test.strictSame(east.peers.status(), [{ cluster: 'west', family: 'ipv4', answers: true }]);
  west.share('10.16.0.4');
  await east.knows('west 10.16.0.4');
  test.strictSame(east.changes, ['west: it is there (ipv4)', 'west: it shares other endpoints (ipv4)']);

  west.peers.stop();
  await east.knows();
  test.match(east.changes.at(-1), /^west: west is lost: /);
  test.strictSame(east.peers.status(), [{ cluster: 'west', family: 'ipv4', answers: false }]);
  await west.watch();
  await Promise.all([east.knows('west 10.16.0.4'), west.knows('east 10.0.0.3')]);

  east.peers.stop();
  await west.knows();
  await east.watch();
  await Promise.all([east.knows('west 10.16.0.4'), west.knows('east 10.0.0.3')]);
});

void t.test('a hub passes on what its spokes tell, and that one is gone', async (test) => {
  const hosts = { hub: '127.71.2.1', a: '127.71.2.2', b: '127.71.2.3', c: '127.71.2.4' };
  const hub = new Party(test, 'hub', hosts);
  const spokes = ['a', 'b', 'c'].map((name) => {
    const others = ['a', 'b', 'c'].filter((other) => other !== name);
    return new Party(test, name, hosts, Object.fromEntries(others.map((other) => [other, 'hub'])));
  });
  const [a, b, c] = spokes as [Party, Party, Party];
  for (const [index, party] of [hub, ...spokes].entries()) party.share(`10.0.0.${index}`);
  await Promise.all([hub, ...spokes].map((party) => party.watch()));
  await a.knows('b 10.0.0.2', 'c 10.0.0.3', 'hub 10.0.0.0');
  await b.knows('a 10.0.0.1', 'c 10.0.0.3', 'hub 10.0.0.0');
  await hub.knows('a 10.0.0.1', 'b 10.0.0.2', 'c 10.0.0.3');

  c.share('10.0.0.9');
  await a.knows('b 10.0.0.2', 'c 10.0.0.9', 'hub 10.0.0.0');
  c.peers.stop();
  await a.knows('b 10.0.0.2', 'hub 10.0.0.0');
  await b.knows('a 10.0.0.1', 'hub 10.0.0.0');
  hub.peers.stop();
  await a.knows();
  await Promise.all([hub.watch(), c.watch()]);
  await a.knows('b 10.0.0.2', 'c 10.0.0.9', 'hub 10.0.0.0');
});
