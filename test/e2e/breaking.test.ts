/** A kept lab is broken by hand, as the field breaks things: exactly the right cases fail, and pass again when it is mended. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { runtimeFolder } from '../../lib/system/files.ts';
import type { JsonResults } from '../../reports/json.ts';
import {
  FILE_LIMIT_MS,
  Home,
  type Tally,
  endedWith,
  inside,
  leftOf,
  runIdOf,
  skip,
  startInside,
  suites,
  tallyOf,
} from './fixtures/home.ts';

t.setTimeout(FILE_LIMIT_MS);

const BOTH = ['east->west', 'west->east'] as const;
const LOWERED = '1300';

interface Fault {
  inject(): Promise<unknown>;
  mend(): Promise<unknown>;
}

const eachOf = (
  names: readonly string[],
  make: (name: string) => Record<string, string>,
): Record<string, string> => Object.assign({}, ...names.map(make)) as Record<string, string>;

const everyLookup = (cluster: string, cause: string): Record<string, string> =>
  eachOf(['local', 'shared', 'records', 'headless', 'not-shared', 'latency'], (check) => ({
    [`dns.${check}[${cluster}]`]: cause,
  }));

/** Lines of a hosts file, the rest of the names with the first. */
const addressesOf = (hosts: string): (readonly [names: string, address: string])[] =>
  hosts
    .split('\n')
    .filter(Boolean)
    .map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))]);

/** A table that somebody flushes, or deletes, and puts back as it was. */
function tables(netns: string, pattern: RegExp, verb: 'flush' | 'delete'): Fault {
  let saved = '';
  let names: string[] = [];
  return {
    async inject() {
      names = (await inside(netns, 'nft', 'list', 'tables'))
        .split('\n')
        .map((line) => line.replace(/^table /, ''))
        .filter((name) => pattern.test(name));
      const listings = await Promise.all(names.map((name) => inside(netns, 'nft', `list table ${name}`)));
      saved = names
        .map((name, index) => `add table ${name}; delete table ${name}; ${listings[index]}`)
        .join('\n');
      await inside(netns, 'nft', names.map((name) => `${verb} table ${name}`).join('; '));
    },
    mend: () => inside(netns, 'nft', saved),
  };
}

const everyPair = (check: string, cause: string): Record<string, string> =>
  Object.fromEntries(BOTH.map((pair) => [`${check}[${pair}]`, cause]));

void t.test('a lab broken by hand', { skip }, async (t) => {
  const home = new Home(t);
  const kept = home.start(['--keep', ...suites('reachability', 'dns', 'policy', 'mtu')]);
  const run = await runIdOf(kept);
  endedWith(t, await kept.ended, 0);

  const [wan, east, west] = ['wan', 'east', 'west'].map((name) => `mcnet-${run}-${name}`) as [
    string,
    string,
    string,
  ];
  const tunnels = { [east]: `wg${run}0`, [west]: `wg${run}1` };
  const fileOf = (cluster: string, name: string): string => path.join(runtimeFolder(run), cluster, name);
  const attach = async (selected: readonly string[]): Promise<JsonResults> => {
    const ended = await home.run(['--attach', run, ...selected]);
    const results = home.results();
    t.equal(ended.code, results.exitCode);
    return results;
  };

  /** What the last attach said of the case of this id when it failed. */
  let broken: JsonResults;
  const toldOf = (id: string): string => {
    const found = broken.cases.find((one) => one.id === id);
    return `${found?.reason}; ${found?.seen}`;
  };

  /** Breaks, looks, mends, looks again. */
  const drill = async (
    t: Test,
    selected: readonly string[],
    fault: Fault,
    expected: Readonly<Record<string, string>>,
  ): Promise<Tally> => {
    await fault.inject();
    broken = await attach(selected);
    await fault.mend();
    const tally = tallyOf(broken);
    t.strictSame(tally.failed, expected);
    t.strictSame(tally.doubtful, [], 'nothing is inconclusive but for what failed');
    t.equal(broken.exitCode, 1);
    const mended = await attach(selected);
    const { failed, blocked, doubtful } = tallyOf(mended);
    t.strictSame({ failed, blocked, doubtful }, { failed: {}, blocked: [], doubtful: [] }, 'mended');
    t.equal(mended.exitCode, 0);
    return tally;
  };
  const onWan = (...rule: string[]): Fault => ({
    inject: () =>
      inside(
        wan,
        'nft',
        `table bridge byhand { chain f { type filter hook forward priority 0; ${rule.join(' ')} drop; }; }`,
      ),
    mend: () => inside(wan, 'nft', 'delete table bridge byhand'),
  });

  await t.test('the tunnel drops packets one way', async (t) => {
    const { blocked } = await drill(
      t,
      suites('reachability'),
      onWan('iifname "p0" oifname "p1" ether type ip'),
      {
        ...eachOf(['tcp', 'udp', 'icmp'], (check) => ({
          [`reachability.${check}[east->west]`]: 'request-lost',
          [`reachability.${check}[west->east]`]: 'reply-lost',
        })),
      },
    );
    t.equal(blocked.length, 6, 'HTTP and the path are not blamed');
  });

  const setMtu = (netns: string, mtu: string): Promise<string> =>
    inside(netns, 'ip', 'link', 'set', 'dev', tunnels[netns] as string, 'mtu', mtu);
  const lowered = (...at: string[]): Fault => ({
    inject: () => Promise.all(at.map((netns) => setMtu(netns, LOWERED))),
    mend: () => Promise.all(at.map((netns) => setMtu(netns, '1420'))),
  });
  const mute = (...at: string[]): Fault => ({
    inject: () =>
      Promise.all(
        at.map((netns) =>
          inside(
            netns,
            'nft',
            'table inet byhand { chain o { type filter hook output priority 0; icmp type destination-unreachable icmp code frag-needed drop; }; }',
          ),
        ),
      ),
    mend: () => Promise.all(at.map((netns) => inside(netns, 'nft', 'delete table inet byhand'))),
  });
  const both = (...faults: Fault[]): Fault => ({
    inject: () => Promise.all(faults.map((fault) => fault.inject())),
    mend: () => Promise.all(faults.map((fault) => fault.mend())),
  });

  await t.test('the MTU of one tunnel end is lowered', async (t) => {
    await drill(t, suites('mtu'), lowered(east), everyPair('mtu.path', 'mtu-asymmetric'));
  });
  await t.test('the MTU of both tunnel ends is lowered', async (t) => {
    await drill(t, suites('mtu'), lowered(east, west), everyPair('mtu.path', 'mtu-below-configured'));
  });
  await t.test('the MTU is lowered and ICMP errors are dropped, while TCP is clamped', async (t) => {
    await drill(t, suites('mtu'), both(lowered(east), mute(east)), everyPair('mtu.path', 'mtu-masked'));
  });
  await t.test('the MTU is lowered and ICMP errors are dropped, and nothing is clamped', async (t) => {
    await drill(
      t,
      suites('mtu'),
      both(
        lowered(east, west),
        mute(east, west),
        tables(east, /mcnet_mss/, 'delete'),
        tables(west, /mcnet_mss/, 'delete'),
      ),
      everyPair('mtu.path', 'mtu-black-hole'),
    );
  });
  await t.test('the policies of one cluster are flushed', async (t) => {
    await drill(t, suites('policy'), tables(east, /mcnet_policy_/, 'flush'), {
      ...everyPair('policy.truth-table', 'policy-not-enforced'),
      'policy.local-table[east]': 'policy-not-enforced',
      'policy.consistency[fleet]': 'policy-differs',
    });
    t.match(toldOf('policy.consistency[fleet]'), /east/);
  });

  const dnsOf = (cluster: string): number => Number(readFileSync(fileOf(cluster, 'dnsmasq.pid'), 'utf8'));
  await t.test('the DNS server of one cluster is stopped', async (t) => {
    const pid = dnsOf('west');
    await drill(
      t,
      suites('dns', 'reachability'),
      {
        inject: async () => process.kill(pid, 'SIGSTOP'),
        mend: async () => process.kill(pid, 'SIGCONT'),
      },
      everyLookup('west', 'dns-timeout'),
    );
  });
  await t.test('the DNS server of one cluster answers with the address of the other', async (t) => {
    const file = fileOf('east', 'dnsmasq.hosts');
    const right = readFileSync(file, 'utf8');
    const theirs = new Map(addressesOf(readFileSync(fileOf('west', 'dnsmasq.hosts'), 'utf8')));
    const wrong = addressesOf(right)
      .map(([name, address]) =>
        (name.startsWith('echo.') ? [theirs.get(name), name] : [address, name]).join(' '),
      )
      .join('\n');
    const answer = async (hosts: string) => {
      writeFileSync(file, hosts);
      process.kill(dnsOf('east'), 'SIGHUP');
    };
    await drill(
      t,
      suites('dns'),
      { inject: () => answer(wrong), mend: () => answer(right) },
      Object.fromEntries(
        ['local', 'shared', 'records'].map((check) => [`dns.${check}[east]`, 'dns-wrong-address']),
      ),
    );
  });
  await t.test('the DNS server of one cluster is killed', async (t) => {
    await drill(
      t,
      suites('dns'),
      {
        inject: async () => process.kill(dnsOf('west'), 'SIGKILL'),
        mend: async () => startInside(run, west, 'dnsmasq', '-C', fileOf('west', 'dnsmasq.conf')),
      },
      everyLookup('west', 'dns-refused'),
    );
  });

  const westOnWan = /inet ([0-9.]+)/.exec(
    await inside(west, 'ip', 'address', 'show', 'dev', 'wan0'),
  )?.[1] as string;
  const leak = (...words: string[]): Fault => ({
    inject: () => inside(east, 'ip', 'route', 'add', '10.16.0.0/13', 'via', westOnWan, ...words),
    mend: () => inside(east, 'ip', 'route', 'delete', '10.16.0.0/13', 'via', westOnWan),
  });
  await t.test('a clear-text route beside the tunnel', async (t) => {
    await drill(
      t,
      suites('reachability', 'encryption'),
      leak(),
      everyPair('encryption.wire', 'clear-text-on-wan'),
    );
  });
  await t.test('a clear-text route that waits for the tunnel to go', async (t) => {
    await drill(
      t,
      ['wire', 'fails-closed'].flatMap((check) => ['--check', `encryption.${check}`]),
      leak('metric', '200'),
      { 'encryption.fails-closed[east->west]': 'clear-text-when-down' },
    );
  });

  endedWith(t, await home.run(['clean', run]), 0);
  t.strictSame(await leftOf(run, home), []);
});
