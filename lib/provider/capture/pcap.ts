/** Reads capture files (pcap, see draft-ietf-opsawg-pcap) as far as flows and payload text go. */
import { formatAddress } from '../../model/cidr.ts';
import type { CaptureSummary } from '../../model/probe.ts';

const ETHERNET = 1;
/** Packets without a link header: tunnel interfaces. */
const RAW_IP = 101;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV6 = 0x86dd;

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17]);
/** Hop-by-hop options, routing, destination options: headers that stand before the protocol (RFC 8200, section 4). */
const IPV6_OPTION_HEADERS: ReadonlySet<number> = new Set([0, 43, 60]);
const IPV6_FRAGMENT = 44;

/**
 * @param marker text looked for in the bytes of each packet; none when empty
 * @param since milliseconds since the epoch: packets that were captured before are left out
 * @throws RangeError when this is no pcap file, or of a link type that is not known here
 */
export function summarisePcap(
  file: Buffer,
  marker: string,
  since = 0,
): Omit<CaptureSummary, 'droppedByKernel'> {
  const bytes = Buffer.from(marker);
  const flows = new Map<string, { flow: string; packets: number; bytes: number }>();
  let markerPackets = 0;
  for (const { data, length, linkType, seconds } of packetsOf(file)) {
    if (seconds * 1_000 < since) continue;
    if (bytes.length > 0 && data.includes(bytes)) markerPackets++;
    const name = flowName(data, linkType);
    const flow = flows.get(name) ?? { flow: name, packets: 0, bytes: 0 };
    flow.packets++;
    flow.bytes += length;
    flows.set(name, flow);
  }
  const list = [...flows.values()].toSorted((a, b) => b.bytes - a.bytes);
  const sum = (key: 'packets' | 'bytes'): number => list.reduce((total, flow) => total + flow[key], 0);
  return { packets: sum('packets'), bytes: sum('bytes'), markerPackets, flows: list };
}

interface Packet {
  readonly data: Buffer;
  /** On the wire; `data` may be shorter. */
  readonly length: number;
  readonly linkType: number;
  /** When it was captured, since the epoch. */
  readonly seconds: number;
}

function* packetsOf(file: Buffer): Generator<Packet> {
  const magic = file.length < FILE_HEADER_BYTES ? 0 : file.readUInt32LE(0);
  // Microseconds or nanoseconds, in the byte order of the machine that wrote it.
  const little = magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS;
  if (!little && magic !== 0xd4c3b2a1 && magic !== 0x4d3cb2a1) throw new RangeError('not a pcap file');
  const read = (offset: number): number => (little ? file.readUInt32LE(offset) : file.readUInt32BE(offset));
  const linkType = read(20) & 0xffff;
  if (linkType !== ETHERNET && linkType !== RAW_IP) throw new RangeError(`unknown link type ${linkType}`);
  const nanoseconds = read(0) === MAGIC_NANOSECONDS;
  let offset = FILE_HEADER_BYTES;
  while (offset + RECORD_HEADER_BYTES <= file.length) {
    const captured = read(offset + 8);
    const start = offset + RECORD_HEADER_BYTES;
    offset = start + captured;
    // A writer that was killed leaves half a packet at the end.
    if (offset > file.length) return;
    const seconds = read(start - 16) + read(start - 12) / (nanoseconds ? 1e9 : 1e6);
    yield { data: file.subarray(start, offset), length: read(start - 4), linkType, seconds };
  }
}

function flowName(data: Buffer, linkType: number): string {
  try {
    return linkType === RAW_IP ? ipFlow(data) : ethernetFlow(data);
  } catch (error) {
    if (error instanceof RangeError) return 'truncated';
    throw error;
  }
}

function ethernetFlow(data: Buffer): string {
  let offset = 12;
  while (data.readUInt16BE(offset) === ETHERTYPE_VLAN) offset += 4;
  const type = data.readUInt16BE(offset);
  if (type === ETHERTYPE_ARP) return 'arp';
  if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return ipFlow(data.subarray(offset + 2));
  return `ethertype 0x${type.toString(16).padStart(4, '0')}`;
}

function ipFlow(packet: Buffer): string {
  return packet.readUInt8(0) >> 4 === 6 ? ipv6Flow(packet) : ipv4Flow(packet);
}

function ipv4Flow(packet: Buffer): string {
  const header = (packet.readUInt8(0) & 0x0f) * 4;
  const laterFragment = (packet.readUInt16BE(6) & 0x1fff) !== 0;
  const address = (offset: number): string => formatAddress('ipv4', BigInt(packet.readUInt32BE(offset)));
  return describe(packet.readUInt8(9), address(12), address(16), packet.subarray(header), laterFragment);
}

function ipv6Flow(packet: Buffer): string {
  const address = (offset: number): string => {
    const value = (packet.readBigUInt64BE(offset) << 64n) | packet.readBigUInt64BE(offset + 8);
    return formatAddress('ipv6', value);
  };
  let protocol = packet.readUInt8(6);
  let offset = 40;
  let laterFragment = false;
  while (IPV6_OPTION_HEADERS.has(protocol) || protocol === IPV6_FRAGMENT) {
    const fragment = protocol === IPV6_FRAGMENT;
    if (fragment) laterFragment ||= packet.readUInt16BE(offset + 2) >> 3 !== 0;
    protocol = packet.readUInt8(offset);
    offset += fragment ? 8 : (packet.readUInt8(offset + 1) + 1) * 8;
    if (laterFragment) break;
  }
  return describe(protocol, address(8), address(24), packet.subarray(offset), laterFragment);
}

function describe(
  protocol: number,
  source: string,
  destination: string,
  segment: Buffer,
  laterFragment: boolean,
): string {
  const name = PROTOCOL_NAMES[protocol] ?? `protocol ${protocol}`;
  if (laterFragment) return `${name} ${source} > ${destination} fragment`;
  if (!WITH_PORTS.has(protocol)) return `${name} ${source} > ${destination}`;
  const end = (address: string, port: number): string =>
    `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return `${name} ${end(source, segment.readUInt16BE(0))} > ${end(destination, segment.readUInt16BE(2))}`;
}
