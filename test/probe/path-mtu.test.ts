import t from 'tap';
import { PORTS } from '../../lib/model/workload.ts';
import { takeBack } from '../fixtures/takeBack.ts';
import { ADDRESSES, NEEDS_ROOT, Network } from './fixtures/network.ts';

t.test('path MTU through a router', { skip: NEEDS_ROOT }, async (t) => {
  const network = new Network();
  takeBack(t, () => network.remove());
  const [{ probe }, server] = await Promise.all([network.startAgent('client'), network.startAgent('server')]);

  for (const family of ['ipv4', 'ipv6'] as const) {
    const { server: target, client: source } = ADDRESSES[family];
    await t.test(`${family}: whole, lowered aloud, lowered in silence`, async (t) => {
      const whole = await probe.sweepPathMtu({ address: target });
      t.match(whole, { family, interfaceMtu: 1500, mtu: 1500, signalled: undefined, silentAbove: undefined });

      network.run('router', 'ip link set to-server mtu 1400');
      const lowered = await probe.sweepPathMtu({ address: target });
      t.match(lowered, { interfaceMtu: 1500, mtu: 1400, signalled: 1400, silentAbove: undefined });
      const remembered = await probe.sweepPathMtu({ address: target });
      t.match(remembered, { mtu: 1400, signalled: 1400 }, 'what the kernel remembers counts as signalled');
      network.run('router', 'ip link set to-server mtu 1500');
      await probe.forgetPathMtu();
      t.match(await probe.sweepPathMtu({ address: target }), { mtu: 1500, signalled: undefined });

      network.run(
        'router',
        `nft add table inet t; nft 'add chain inet t f { type filter hook forward priority 0; }';
         nft add rule inet t f oifname to-server meta length '>' 1255 drop`,
      );
      const hole = await probe.sweepPathMtu({ address: target });
      t.match(hole, { interfaceMtu: 1500, mtu: 1255, signalled: undefined, silentAbove: 1255 });
      t.match(
        await server.probe.sweepPathMtu({ address: source }),
        { mtu: 1500, silentAbove: undefined },
        'large answers that vanish on the way back are not taken for large requests that vanish',
      );
      const stream = await probe.transfer({
        address: target,
        port: PORTS.echo,
        lengths: [1, 1000, 5000, 10],
        timeoutMs: 900,
        facts: true,
      });
      t.match(stream, { complete: false, arrived: [1, 1000], stalledAt: 5000, detail: 'silence' });
      t.ok((stream.socket?.retransmits ?? 0) > 0, 'the kernel has sent again');
      network.run('router', 'nft delete table inet t');
    });
  }

  await t.test('MTU probing is switched in the namespace of the workload', async (t) => {
    const read = (): string => network.run('client', 'sysctl -n net.ipv4.tcp_mtu_probing').trim();
    await probe.setMtuProbing(1);
    t.equal(read(), '1');
    await probe.setMtuProbing(0);
    t.equal(read(), '0');
  });
});
