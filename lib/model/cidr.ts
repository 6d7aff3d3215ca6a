import { InternalError } from './errors.ts';

export type IpFamily = 'ipv4' | 'ipv6';

/** One value per IP family in use; a family that is not in use is absent. */
export type PerFamily<T> = { readonly [family in IpFamily]?: T };

/** IPv4 where there is both. */
export const firstOf = (addresses: PerFamily<string>): string => (addresses.ipv4 ?? addresses.ipv6) as string;

/** A block of addresses: family, first address as a number, prefix length. */
export interface Cidr {
  readonly family: IpFamily;
  readonly network: bigint;
  readonly prefix: number;
}

const BITS: Record<IpFamily, number> = { ipv4: 32, ipv6: 128 };

export const bitsOf = (family: IpFamily): number => BITS[family];

/** @throws RangeError naming the text, when it is no address */
export function parseAddress(text: string): { family: IpFamily; value: bigint } {
  const value = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (value === undefined) throw new RangeError(`"${text}" is not an IP address`);
  return { family: text.includes(':') ? 'ipv6' : 'ipv4', value };
}

export function isAddress(text: string): boolean {
  return (text.includes(':') ? parseIpv6(text) : parseIpv4(text)) !== undefined;
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = (half: string | undefined): string[] => (half ? half.split(':') : []);
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const last = (halves.length === 2 ? tail : head).at(-1);
  if (last?.includes('.')) {
    const embedded = parseIpv4(last);
    if (embedded === undefined) return undefined;
    const target = halves.length === 2 ? tail : head;
    target.splice(-1, 1, (embedded >> 16n).toString(16), (embedded & 0xffffn).toString(16));
  }
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<string>(Math.max(missing, 0)).fill('0'), ...tail];
  let value = 0n;
  for (const group of all) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
    value = (value << 16n) | BigInt(`0x${group}`);
  }
  return value;
}

/** Canonical text of an address; IPv6 as RFC 5952 has it. */
export function formatAddress(family: IpFamily, value: bigint): string {
  if (family === 'ipv4') {
    return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt((7 - index) * 16)) & 0xffffn).toString(16),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start === -1) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}

/** @throws RangeError naming the text and what is wrong with it (host bits set, prefix out of range) */
export function parseCidr(text: string): Cidr {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (!match) throw new RangeError(`"${text}" is not a CIDR such as 10.0.0.0/12`);
  const { family, value } = parseAddress(match[1] as string);
  const prefix = Number(match[2]);
  if (prefix > BITS[family]) throw new RangeError(`"${text}": prefix is longer than ${BITS[family]}`);
  const network = maskOf(family, prefix) & value;
  if (network !== value) {
    throw new RangeError(
      `"${text}" has host bits set; the block is ${formatAddress(family, network)}/${prefix}`,
    );
  }
  return { family, network, prefix };
}

function maskOf(family: IpFamily, prefix: number): bigint {
  const bits = BigInt(BITS[family]);
  return ((1n << bits) - 1n) ^ ((1n << (bits - BigInt(prefix))) - 1n);
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.family, cidr.network)}/${cidr.prefix}`;
}

/** Number of addresses in the block. */
export function sizeOf(cidr: Cidr): bigint {
  return 1n << BigInt(BITS[cidr.family] - cidr.prefix);
}

export function contains(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.family === inner.family &&
    outer.prefix <= inner.prefix &&
    (maskOf(outer.family, outer.prefix) & inner.network) === outer.network
  );
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return contains(a, b) || contains(b, a);
}

export function containsAddress(cidr: Cidr, address: string): boolean {
  const { family, value } = parseAddress(address);
  return contains(cidr, { family, network: value, prefix: BITS[family] });
}

/** The `index`-th block of length `prefix` inside `cidr`. @throws InternalError when it does not fit */
export function subnet(cidr: Cidr, prefix: number, index: number): Cidr {
  const count = 1n << BigInt(prefix - cidr.prefix);
  if (prefix < cidr.prefix || BigInt(index) >= count) {
    throw new InternalError(`block ${index} of /${prefix} does not fit into ${formatCidr(cidr)}`);
  }
  const network = cidr.network + (BigInt(index) << BigInt(BITS[cidr.family] - prefix));
  return { family: cidr.family, network, prefix };
}

/** The `index`-th address of the block, as text (0 is the network address itself, -1 the last address). */
export function addressAt(cidr: Cidr, index: number): string {
  const size = sizeOf(cidr);
  const offset = index < 0 ? size + BigInt(index) : BigInt(index);
  if (offset < 0n || offset >= size) {
    throw new InternalError(`address ${index} does not fit into ${formatCidr(cidr)}`);
  }
  return formatAddress(cidr.family, cidr.network + offset);
}
