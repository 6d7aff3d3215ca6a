import t from 'tap';
import { countsIn } from '../../../lib/provider/capture/tcpdump.ts';
import { summarisePcap } from '../../../lib/provider/capture/pcap.ts';

const ETHERNET = 1;
const RAW = 101;

function pcap(packets: readonly Buffer[], linkType = ETHERNET, bigEndian = false): Buffer {
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    if (bigEndian) bytes.writeUInt32BE(value);
    else bytes.writeUInt32LE(value);
    return bytes;
  };
  const header = [u32(0xa1b2c3d4), Buffer.alloc(12), u32(262144), u32(linkType)];
  return Buffer.concat([
    ...header,
    ...packets.flatMap((packet) => [u32(0), u32(0), u32(packet.length), u32(packet.length + 4), packet]),
  ]);
}

const ethernet = (type: number, payload: Buffer): Buffer =>
  Buffer.concat([Buffer.alloc(12), Buffer.from([type >> 8, type & 0xff]), payload]);
const ports = (source: number, destination: number, text = ''): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(source, 0);
  bytes.writeUInt16BE(destination, 2);
  return Buffer.concat([bytes, Buffer.alloc(4), Buffer.from(text)]);
};
function ipv4(protocol: number, payload: Buffer, fragmentOffset = 0): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(fragmentOffset, 6);
  header[9] = protocol;
  Buffer.from([198, 18, 0, 1]).copy(header, 12);
  Buffer.from([198, 18, 0, 2]).copy(header, 16);
  return Buffer.concat([header, payload]);
}
function ipv6(next: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header[6] = next;
  header[8] = 0xfd;
  header[23] = 1;
  header[24] = 0xfd;
  header[39] = 2;
  return Buffer.concat([header, payload]);
}

t.test('flows are named, counted by their length on the wire and sorted', async (t) => {
  const udp = ethernet(0x0800, ipv4(17, ports(51820, 51821, 'xx-marker-xx')));
  const summary = summarisePcap(pcap([ethernet(0x0806, Buffer.alloc(28)), udp, udp]), 'marker');
  t.same(summary, {
    packets: 3,
    bytes: 2 * (udp.length + 4) + 46,
    markerPackets: 2,
    flows: [
      { flow: 'udp 198.18.0.1:51820 > 198.18.0.2:51821', packets: 2, bytes: 2 * (udp.length + 4) },
      { flow: 'arp', packets: 1, bytes: 46 },
    ],
  });
});

t.test('what a flow is called', async (t) => {
  const nameOf = (packet: Buffer, linkType = ETHERNET): string | undefined =>
    summarisePcap(pcap([packet], linkType), '').flows[0]?.flow;
  t.equal(nameOf(ethernet(0x86dd, ipv6(6, ports(40000, 80)))), 'tcp [fd00::1]:40000 > [fd00::2]:80');
  t.equal(nameOf(ethernet(0x86dd, ipv6(58, Buffer.alloc(8)))), 'icmpv6 fd00::1 > fd00::2');
  t.equal(nameOf(ethernet(0x0800, ipv4(1, Buffer.alloc(8)))), 'icmp 198.18.0.1 > 198.18.0.2');
  t.equal(nameOf(ethernet(0x0800, ipv4(17, Buffer.alloc(8), 185))), 'udp 198.18.0.1 > 198.18.0.2 fragment');
  t.equal(nameOf(ethernet(0x0800, ipv4(47, Buffer.alloc(8)))), 'protocol 47 198.18.0.1 > 198.18.0.2');
  t.equal(nameOf(ethernet(0x88cc, Buffer.alloc(8))), 'ethertype 0x88cc');
  t.equal(
    nameOf(ipv4(6, ports(1, 2)), RAW),
    'tcp 198.18.0.1:1 > 198.18.0.2:2',
    'a tunnel has no link header',
  );
  const tagged = Buffer.concat([
    Buffer.alloc(12),
    Buffer.from([0x81, 0, 0, 5, 0x08, 0]),
    ipv4(6, ports(1, 2)),
  ]);
  t.equal(nameOf(tagged), 'tcp 198.18.0.1:1 > 198.18.0.2:2', 'behind a VLAN tag');
  const hopByHop = ipv6(0, Buffer.concat([Buffer.from([17, 0, 0, 0, 0, 0, 0, 0]), ports(1, 2)]));
  t.equal(nameOf(ethernet(0x86dd, hopByHop)), 'udp [fd00::1]:1 > [fd00::2]:2', 'behind an extension header');
  const fragment = ipv6(44, Buffer.concat([Buffer.from([17, 0, 0, 8, 0, 0, 0, 0]), ports(1, 2)]));
  t.equal(nameOf(ethernet(0x86dd, fragment)), 'udp fd00::1 > fd00::2 fragment');
  t.equal(nameOf(Buffer.alloc(4)), 'truncated');
});

t.test('files of other machines and half-written files', async (t) => {
  const packet = ethernet(0x0800, ipv4(17, ports(1, 2, 'marker')));
  t.equal(summarisePcap(pcap([packet], ETHERNET, true), 'marker').markerPackets, 1);
  const whole = pcap([packet, packet]);
  t.equal(summarisePcap(whole.subarray(0, -3), 'marker').packets, 1, 'the last packet is half there');
  t.equal(summarisePcap(whole, '').markerPackets, 0, 'an empty marker is in nothing');
  t.throws(() => summarisePcap(Buffer.from('nonsense'), ''), RangeError);
  t.throws(() => summarisePcap(pcap([], 113), ''), RangeError);
});

t.test('packets from before are left out', async (t) => {
  const packet = ethernet(0x0800, ipv4(17, ports(1, 2, 'marker')));
  const file = pcap([packet, packet]);
  // Seconds and microseconds of the second record.
  const record = file.length - packet.length - 16;
  file.writeUInt32LE(1_700_000_000, record);
  file.writeUInt32LE(250_000, record + 4);
  t.equal(summarisePcap(file, 'marker', 1_700_000_000_000).markerPackets, 1);
  t.equal(summarisePcap(file, 'marker', 1_700_000_000_250).packets, 1);
  t.equal(summarisePcap(file, 'marker', 1_700_000_000_251).packets, 0);
});

t.test("tcpdump's words", async (t) => {
  const words = `listening on wan0
tcpdump: 1 packet captured, 3 packets received by filter, 0 packets dropped by kernel
tcpdump: 4 packets captured, 4 packets received by filter, 1 packet dropped by kernel, 1 packet dropped by interface
7 packets captured
9 packets received by filter
2 packets dropped by kernel
`;
  t.same(countsIn(words), [
    { captured: 1, received: 3, dropped: 0 },
    { captured: 4, received: 4, dropped: 1 },
    { captured: 7, received: 9, dropped: 2 },
  ]);
  t.same(countsIn('listening on wan0\ntcpdump: 7 packets captured, 9 packets received by fil'), []);
});
