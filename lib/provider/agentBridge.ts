/**
 * The way to an agent from outside its container: whoever may only run a program there (`kubectl exec`, `docker exec`)
 * speaks with the agent's socket through that program's standard input and output. There is one for each workload for
 * as long as a run lasts, so it is `socat`, which both images have, and no process of Node.
 */
import type { Command } from '../system/commands.ts';

/**
 * The far end may vanish without a word, and no container runtime ends a program whose caller is gone: a bridge over
 * which nothing passed for this long ends.
 */
const IDLE_SECONDS = 5 * 60;
/** How long the one end may still speak when the other has closed: an agent closes at once. */
const CLOSING_SECONDS = 1;

/** Written to a bridge now and then, it shows that the caller is there: an empty line says nothing to the agent. */
export const BRIDGE_HEARTBEAT = '\n';

/** Ends well with the connection, at either end; with 1 and words on standard error when nobody listens there. */
export const agentBridge = (socket: string, idleSeconds: number = IDLE_SECONDS): Command => [
  'socat',
  ...['-T', String(idleSeconds), '-t', String(CLOSING_SECONDS)],
  'STDIO',
  `UNIX-CONNECT:${socket}`,
];
