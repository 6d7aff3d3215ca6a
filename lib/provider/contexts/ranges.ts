/** Which addresses a cluster that somebody else made hands out: from what it says of itself. Pure. */
import { mapFamilies } from '../../model/addressing.ts';
import { prefixFor } from '../../model/addressingRules.ts';
import { NODE_ADDRESSES } from '../../model/budgets.ts';
import {
  type Cidr,
  type PerFamily,
  type IpFamily,
  bitsOf,
  contains,
  formatCidr,
  overlaps,
  parseAddress,
  parseCidr,
} from '../../model/cidr.ts';

/** `podSubnet` and `serviceSubnet` of kubeadm's ClusterConfiguration, one range or one of each family. */
export function kubeadmRanges(configuration: string): {
  readonly pods: PerFamily<string>;
  readonly services: PerFamily<string>;
} {
  const valueOf = (key: string): PerFamily<string> => {
    const value = new RegExp(`^\\s*${key}:\\s*["']?([^"'\\s#]+)`, 'm').exec(configuration)?.[1];
    return perFamily(value?.split(',') ?? []);
  };
  return { pods: valueOf('podSubnet'), services: valueOf('serviceSubnet') };
}

/** The value of a flag in the command lines of control plane containers: `--cluster-cidr=10.0.0.0/16`. */
export function flagRanges(command: readonly string[], flag: string): PerFamily<string> {
  const value = command.find((word) => word.startsWith(`--${flag}=`))?.slice(flag.length + 3);
  return perFamily(value?.split(',') ?? []);
}

/** What the API server says of a service address outside its range: `The range of valid IPs is 10.96.0.0/12`. */
export function rangeInRefusal(message: string): PerFamily<string> {
  const found = /valid IPs? (?:is|are) ([0-9a-f.:/, ]+)/i.exec(message)?.[1];
  return perFamily(found?.split(',').map((part) => part.trim()) ?? []);
}

/** The first of each family; what is no range is passed over. */
export function perFamily(ranges: readonly string[]): PerFamily<string> {
  const found: { ipv4?: string; ipv6?: string } = {};
  for (const text of ranges) {
    const range = rangeOf(text);
    if (range) found[range.family] ??= formatCidr(range);
  }
  return mapFamilies(found, (range) => range);
}

function rangeOf(text: string): Cidr | undefined {
  try {
    return parseCidr(text.trim());
  } catch {
    return undefined;
  }
}

/** The smallest block that holds all of these blocks or addresses; undefined for none. */
export function covering(texts: readonly string[]): Cidr | undefined {
  const blocks = texts.map((text) => (text.includes('/') ? parseCidr(text) : hostOf(text)));
  const [first, ...rest] = blocks;
  if (!first) return undefined;
  return rest.reduce((cover, block) => {
    let wider = cover;
    while (!contains(wider, block)) wider = shortened(wider, wider.prefix - 1);
    return wider;
  }, first);
}

function hostOf(address: string): Cidr {
  const { family, value } = parseAddress(address);
  return { family, network: value, prefix: bitsOf(family) };
}

function shortened({ family, network }: Cidr, prefix: number): Cidr {
  const host = BigInt(bitsOf(family) - prefix);
  return { family, network: (network >> host) << host, prefix };
}

export function coveringPerFamily(texts: readonly string[]): PerFamily<string> {
  const ofFamily = (family: IpFamily): string | undefined => {
    const block = covering(texts.filter((text) => text.includes(':') === (family === 'ipv6')));
    return block && formatCidr(block);
  };
  const [ipv4, ipv6] = [ofFamily('ipv4'), ofFamily('ipv6')];
  return { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
}

/**
 * Node ranges by cluster, from the addresses of nodes: nobody says how large their network is, so a block around them
 * with room for a few more. Clusters whose nodes share a network have no node range that could be told apart.
 */
export function nodeRanges(
  addresses: Readonly<Record<string, readonly string[]>>,
): Readonly<Record<string, PerFamily<string>>> {
  const blocks = Object.entries(addresses).map(([cluster, own]) => ({
    cluster,
    blocks: Object.values(coveringPerFamily(own)).map((text) => {
      const block = parseCidr(text);
      const widest = prefixFor(NODE_ADDRESSES.value, block.family);
      return block.prefix > widest ? shortened(block, widest) : block;
    }),
  }));
  return Object.fromEntries(
    blocks.map((one) => {
      const others = blocks.filter((other) => other !== one).flatMap((other) => other.blocks);
      const apart = one.blocks.filter((block) => !others.some((other) => overlaps(block, other)));
      return [one.cluster, perFamily(apart.map(formatCidr))];
    }),
  );
}
