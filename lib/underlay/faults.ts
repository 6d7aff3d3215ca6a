/** Faults that underlays have in common. */
import type { FaultInjector, Fleet, Gateway, Ledger } from '../model/cluster.ts';
import { InternalError } from '../model/errors.ts';
import type { FaultSpec } from '../model/fault.ts';
import { injectorOf } from '../model/injection.ts';
import { prepareMendingAt } from '../model/mending.ts';
import { randomHex } from '../system/clock.ts';
import { execEach, gatewayOf } from './gateways.ts';
import { lines, renderTable } from './routing.ts';

/** As `prepareMendingAt`, under a name of its own. */
export const prepareMending = (
  gateway: Gateway,
  fault: FaultSpec,
  script: string,
  ledger: Ledger,
): Promise<() => Promise<void>> => prepareMendingAt(gateway, { fault, id: randomHex(4) }, script, ledger);

/** What the kernel says of an interface. */
interface Link {
  readonly mtu: number;
  readonly up: boolean;
}

interface ShownLink {
  readonly mtu: number;
  readonly flags: readonly string[];
}

const parseLink = ({ mtu, flags }: ShownLink): Link => ({ mtu, up: flags.includes('UP') });

export async function linkOf(gateway: Gateway, name: string): Promise<Link> {
  const shown = await gateway.exec(['ip', '-json', 'link', 'show', 'dev', name]);
  const [link] = JSON.parse(shown) as ShownLink[];
  if (!link) throw new InternalError(`ip shows nothing of the interface ${name} at ${gateway.cluster}`);
  return parseLink(link);
}

interface Address {
  readonly family: 'inet' | 'inet6';
  readonly local: string;
  readonly prefixlen: number;
  /** Of the far end, where it is not the own one. */
  readonly address?: string;
  readonly scope: string;
  readonly nodad?: boolean;
  readonly noprefixroute?: boolean;
}

/** An interface with what it loses when it goes down, or when its MTU goes below the 1280 bytes of IPv6. */
export interface Belongings extends Link {
  readonly ipv6Addresses: readonly string[];
  readonly hasLinkLocal: boolean;
  /** `none`, `eui64`, …: how it makes its link-local address. */
  readonly addressGeneration: string;
  readonly routes: readonly string[];
}

export async function belongingsOf(gateway: Gateway, name: string): Promise<Belongings> {
  const [shown = '', routes = ''] = await execEach(gateway, [
    ['ip', '-details', '-json', 'address', 'show', 'dev', name],
    ['ip', 'route', 'show', 'table', 'all', 'dev', name],
  ]);
  const [link] = JSON.parse(shown) as (ShownLink & { inet6_addr_gen_mode?: string; addr_info: Address[] })[];
  if (!link) throw new InternalError(`ip shows nothing of the interface ${name} at ${gateway.cluster}`);
  const addresses = link.addr_info.filter(({ family }) => family === 'inet6');
  return {
    ...parseLink(link),
    // Listed newest first, and the order decides which one is a source.
    ipv6Addresses: addresses.map(renderAddress).toReversed(),
    hasLinkLocal: addresses.some(({ scope }) => scope === 'link'),
    addressGeneration: link.inet6_addr_gen_mode ?? 'eui64',
    routes: parseRoutes(routes),
  };
}

const renderAddress = ({ local, address, prefixlen, nodad, noprefixroute }: Address): string =>
  [
    address === undefined ? `${local}/${prefixlen}` : `${local} peer ${address}/${prefixlen}`,
    ...(nodad ? ['nodad'] : []),
    ...(noprefixroute ? ['noprefixroute'] : []),
  ].join(' ');

/** Lines of `ip route show` as they can be given back; those that the kernel makes itself are left out. */
export function parseRoutes(shown: string): string[] {
  return shown
    .split('\n')
    .map((line) => line.replaceAll(/ (?:linkdown|dead)\b/g, '').trim())
    .filter(
      (line) =>
        line && !/ proto kernel\b/.test(line) && !/^(?:local|broadcast|multicast|anycast) /.test(line),
    );
}

/** Lines for a shell. */
export function renderBelongings(name: string, { routes, ...ipv6 }: Belongings): string {
  const dev = `dev ${name}`;
  return lines([
    `ip link set ${dev} addrgenmode ${ipv6.addressGeneration}`,
    ...(ipv6.hasLinkLocal ? [] : [`ip -6 address flush ${dev} scope link`]),
    `ip -batch - <<'END'`,
    ...ipv6.ipv6Addresses.map((address) => `address replace ${address} ${dev}`),
    ...routes.map((route) => `route replace ${route} ${dev}`),
    'END',
  ]);
}

const LEAST_IPV6_MTU = 1280;

/**
 * The settings of IPv6 that the kernel forgets with an interface below 1280 bytes, as lines for a shell that write back
 * those that differ. Only numbers: a stable secret is none of our business.
 */
async function renderIpv6Settings(gateway: Gateway, name: string): Promise<string> {
  const folder = `/proc/sys/net/ipv6/conf/${name}`;
  const shown = await gateway.exec([
    'sh',
    '-c',
    `cd ${folder} 2> /dev/null && grep -H . * 2> /dev/null || true`,
  ]);
  const settings = shown.split('\n').filter((line) => /^\w+:-?\d+$/.test(line));
  if (settings.length === 0) return '';
  return [
    `cd ${folder} && while IFS=: read -r setting value; do`,
    '  [ "$(cat "$setting")" = "$value" ] || echo "$value" > "$setting"',
    `done <<'END'`,
    ...settings,
    'END',
    '',
  ].join('\n');
}

/**
 * `mtu-lowered`: the carrying interface of the gateway `at` gets a smaller MTU, so what leaves there is refused above it;
 * with `peer`, that neighbour's too. The gateway says so by ICMP, or with `dropped` its ICMP errors "fragmentation
 * needed" and "packet too big" are dropped as they leave it, in a table of their own.
 */
export function mtuInjector(carrierOf: (fleet: Fleet, cluster: string) => string): FaultInjector {
  return injectorOf('mtu-lowered', async ({ fault, fleet, ledger }) => {
    const ends = [fault.at, ...(fault.peer === undefined ? [] : [fault.peer])].map((cluster) => ({
      gateway: gatewayOf(fleet, cluster),
      carrier: carrierOf(fleet, cluster),
      table: `mcnet_fault_${randomHex(4)}`,
    }));
    const silence = (table: string): string =>
      renderTable(table, [
        '  chain output {',
        '    type filter hook output priority filter; policy accept;',
        '    icmp type destination-unreachable icmp code frag-needed drop',
        '    icmpv6 type packet-too-big drop',
        '  }',
      ]);
    const mends: (() => Promise<void>)[] = [];
    for (const { gateway, carrier, table } of ends) {
      const before = await linkOf(gateway, carrier);
      // Whoever sets another MTU meanwhile keeps it.
      const restore = [
        // Added first, so that it is no error to delete what is not there.
        `nft 'add table inet ${table}; delete table inet ${table}'`,
        `if ip link show dev ${carrier} | grep -q ' mtu ${fault.mtu} '; then`,
        `ip link set dev ${carrier} mtu ${before.mtu}`,
        ...(fault.mtu < LEAST_IPV6_MTU && before.mtu >= LEAST_IPV6_MTU
          ? [
              await renderIpv6Settings(gateway, carrier),
              renderBelongings(carrier, await belongingsOf(gateway, carrier)),
            ]
          : []),
        'fi',
      ];
      mends.unshift(await prepareMending(gateway, fault, lines(restore), ledger));
      if (fault.icmp === 'dropped') await gateway.exec(['nft', '-f', '-'], { input: silence(table) });
      await gateway.exec(['ip', 'link', 'set', 'dev', carrier, 'mtu', String(fault.mtu)]);
    }
    return {
      async tookHold() {
        for (const { gateway, carrier, table } of ends) {
          if ((await linkOf(gateway, carrier)).mtu !== fault.mtu) return false;
          if (fault.icmp === 'dropped' && !(await gateway.exec(['nft', 'list', 'tables'])).includes(table))
            return false;
        }
        return true;
      },
      async mend() {
        for (const mend of mends) await mend();
      },
    };
  });
}
