/**
 * A backend: the HTTP service of a workload as a process of its own. Commands come as lines on standard input, each
 * answered by a line; it ends when that closes.
 */
import { lineSplitter } from '../lines.ts';
import { identityFrom, parseBackendArguments, required } from './arguments.ts';
import { createHttpServer, httpHandler } from './http-target.ts';

/** While draining: it ends when no request has come for this long, at the latest after the second figure. */
const IDLE_MS = 1_000;
const LONGEST_DRAIN_MS = 15_000;
const DRAIN_CHECK_MS = 100;

const values = parseBackendArguments(process.argv.slice(2));
const identity = identityFrom(values);

let state: 'serving' | 'draining' | 'failing' = 'serving';
let underWay = 0;
let lastActivity = 0;

const server = createHttpServer(
  httpHandler({
    identity,
    state: () => state,
    onReceipt: () => {},
    onActivity: (change) => {
      underWay += change;
      lastActivity = performance.now();
    },
  }),
);

function drain(): void {
  state = 'draining';
  const startedAt = performance.now();
  lastActivity = startedAt;
  setInterval(() => {
    const now = performance.now();
    const idle = underWay === 0 && now - lastActivity > IDLE_MS;
    if (idle || now - startedAt > LONGEST_DRAIN_MS) process.exit(0);
  }, DRAIN_CHECK_MS);
}

function obey(command: string): void {
  if (command === 'fail') state = 'failing';
  else if (command === 'drain') drain();
  process.stdout.write(`${command}\n`);
}

const split = lineSplitter(1_024, obey);
process.stdin.on('data', (chunk: Buffer) => void split(chunk));
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));

server.on('error', (error) => {
  process.stdout.write(`${error.message}\n`, () => process.exit(1));
});
// Without a host it takes both families, or IPv4 alone where the kernel has no IPv6.
server.listen({ port: Number(required(values, 'port')), backlog: 1_024 }, () => {
  process.stdout.write('ready\n');
});
