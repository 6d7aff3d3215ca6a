/**
 * The Docker networks of a run: small blocks of the plan's ranges, so that runs at the same time find room side by side.
 * Pods and services have their whole ranges: no route of the machine leads there. Pure.
 */
import { type AddressPlan, addressesAt, mapFamilies } from '../../model/addressing.ts';
import {
  type Cidr,
  type IpFamily,
  type PerFamily,
  addressAt,
  formatCidr,
  overlaps,
  parseCidr,
  subnet,
} from '../../model/cidr.ts';
import { UserError } from '../../model/errors.ts';
import { inUse } from '../ranges.ts';

/** Addresses that something on this machine uses already. */
export interface Taken {
  readonly range: string;
  /** For people: `the Docker network kind`, `a route by eth0`. */
  readonly by: string;
}

export interface NetworkBlocks {
  /** By cluster. */
  readonly nodes: Readonly<Record<string, PerFamily<string>>>;
  readonly wan: PerFamily<string>;
}

/** Room for a gateway and 250 nodes; the wan has one address a cluster, of which there are 100 at most. */
const BLOCK_PREFIX: Readonly<Record<IpFamily, number>> = { ipv4: 24, ipv6: 120 };
/** Enough runs at once, and quick to search. */
const MOST_BLOCKS = 4_096;

/** @throws UserError when a range of the plan has no block that is free on this machine */
export function chooseBlocks(
  plan: Pick<AddressPlan, 'clusters' | 'wan'>,
  families: readonly IpFamily[],
  taken: readonly Taken[],
): NetworkBlocks {
  const used = [...taken];
  const choose = (range: PerFamily<string>, whose: string): PerFamily<string> => {
    return mapFamilies(inUse(range, families), (cidr, family) => {
      const block = freeBlock(parseCidr(cidr), BLOCK_PREFIX[family], used);
      if (block === undefined) throw noRoom(cidr, whose, used);
      used.push({ range: block, by: whose });
      return block;
    });
  };
  return {
    wan: choose(plan.wan, 'the network between the gateways'),
    nodes: Object.fromEntries(
      Object.entries(plan.clusters).map(([name, { nodes }]) => [name, choose(nodes, `the nodes of ${name}`)]),
    ),
  };
}

function freeBlock(range: Cidr, wanted: number, taken: readonly Taken[]): string | undefined {
  const prefix = Math.max(wanted, range.prefix);
  const others = taken.map((one) => parseCidr(one.range)).filter((one) => one.family === range.family);
  const count = Number(1n << BigInt(Math.min(prefix - range.prefix, 12)));
  for (let index = 0; index < Math.min(count, MOST_BLOCKS); index++) {
    const block = subnet(range, prefix, index);
    if (!others.some((other) => overlaps(other, block))) return formatCidr(block);
  }
  return undefined;
}

function noRoom(cidr: string, whose: string, taken: readonly Taken[]): UserError {
  const range = parseCidr(cidr);
  const blocking = taken.filter((one) => overlaps(parseCidr(one.range), range));
  const names = [...new Set(blocking.map(({ range: other, by }) => `${by} (${other})`))].slice(0, 5);
  return new UserError(`On this machine ${cidr}, for ${whose}, is taken by ${names.join(', ')}`, {
    where: 'Docker networks and routes of this machine',
    remedy: 'Choose another `addressing.pool` in mcnet.yaml, or remove what uses these addresses',
  });
}

/** The last address but one: the engine hands out addresses from the beginning. */
export function gatewayAddresses(nodes: PerFamily<string>): PerFamily<string> {
  return mapFamilies(nodes, (cidr) => addressAt(parseCidr(cidr), -2));
}

/** The first belongs to the bridge itself. */
const FIRST_WAN_INDEX = 2;

export const wanAddresses = (wan: PerFamily<string>, clusterIndex: number): PerFamily<string> =>
  addressesAt(wan, FIRST_WAN_INDEX + clusterIndex);
