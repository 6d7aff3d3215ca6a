/** A user-space UDP relay, where the kernel can neither delay nor reorder. Its only argument is its configuration. */
import { type Socket, createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { RelayConfig } from './config.ts';

const { ways, delayMs, heldShare, holdMs } = JSON.parse(process.argv[2] ?? '') as RelayConfig;
/** Bursts of a tunnel at full speed wait here while the process is not scheduled. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** A fault lasts minutes at most: a client that comes back later is a new one. */
const CLIENTS = 4_096;

const newSocket = (address: string): Socket =>
  createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    recvBufferSize: BUFFER_BYTES,
    sendBufferSize: BUFFER_BYTES,
  }).on('error', (error) => console.log(error.message));

function later(milliseconds: number, send: () => void): void {
  if (milliseconds === 0) send();
  else setTimeout(send, milliseconds);
}

for (const { listen, to } of ways) {
  const front = newSocket(listen.address);
  /** One socket for each sender, so that answers find their way back. */
  const backs = new Map<string, Socket>();
  const backOf = (address: string, port: number): Socket => {
    const key = `${address} ${port}`;
    const known = backs.get(key);
    if (known) return known;
    const back = newSocket(to.address).on('message', (answer) => front.send(answer, port, address));
    if (backs.size >= CLIENTS) {
      const [oldest] = backs;
      backs.delete(oldest?.[0] ?? '');
      oldest?.[1].close();
    }
    backs.set(key, back);
    return back;
  };
  front.on('message', (message, { address, port }) => {
    const wait = delayMs + (Math.random() < heldShare ? holdMs : 0);
    const back = backOf(address, port);
    later(wait, () => back.send(message, to.port, to.address));
  });
  front.bind(listen.port, listen.address);
}
