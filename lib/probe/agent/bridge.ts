/**
 * The way to an agent from outside its container: whoever may only run a program there (`kubectl exec`, `docker exec`)
 * speaks with the agent's socket through this program's standard input and output.
 */
import net from 'node:net';
import { BRIDGE_IDLE_MS } from '../protocol.ts';

/** Ends the process with the connection: at either end, or when nothing came in for `idleMs`. */
export async function bridge(socketPath: string, idleMs: number = BRIDGE_IDLE_MS): Promise<void> {
  const socket = net.connect(socketPath);
  // The far end may vanish without a word, and no container runtime ends a program whose caller is gone.
  const idle = setTimeout(() => process.exit(0), idleMs);
  process.stdin.on('data', () => void idle.refresh());
  process.stdout.on('error', () => process.exit(0));
  process.stdin.on('error', () => process.exit(0));
  process.stdin.on('end', () => process.exit(0));
  socket.on('error', (error) => {
    process.stderr.write(`${socketPath}: ${error.message}\n`, () => process.exit(1));
  });
  // What is still on its way out is written first.
  socket.on('end', () => process.stdout.write('', () => process.exit(0)));
  socket.pipe(process.stdout, { end: false });
  process.stdin.pipe(socket);
}
