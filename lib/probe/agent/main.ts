/** The probe agent: one process in each workload and gateway. Prints one JSON line when everything listens. */
import { unlinkSync } from 'node:fs';
import type { BackendEvent } from '../../model/probe.ts';
import { identityFrom, parseAgentArguments, required } from './arguments.ts';
import { Backends } from './backends.ts';
import { burst } from './burst.ts';
import { checkList, checkRecord } from './checks.ts';
import { type Methods, listenForCalls } from './control.ts';
import { exchangeAll } from './exchange.ts';
import { facts } from './facts.ts';
import { handshakeAll } from './handshake.ts';
import { flushRouteCache, setMtuProbing } from './links.ts';
import { listen } from './listeners.ts';
import { sweepPathMtu } from './path-mtu.ts';
import { ping } from './ping.ts';
import { ReceiptLog } from './receipts.ts';
import { resolveAll } from './resolve.ts';
import { Samplers } from './sampling.ts';
import { ThroughputServers, throughput } from './throughput.ts';
import { killAllTools } from './tools.ts';
import { trace } from './trace.ts';
import { transfer } from './transfer.ts';

const MOST_NONCES = 20_000;

const values = parseAgentArguments(process.argv.slice(2));
async function serve(): Promise<void> {
  const identity = identityFrom(values);
  const socketPath = required(values, 'socket');
  const receipts = new ReceiptLog();
  const samplers = new Samplers();
  const backends = new Backends(identity);
  const servers = new ThroughputServers();

  const methods: Methods = {
    facts: (_params, signal) => facts(identity, signal),
    exchange: ([requests, options], signal) => exchangeAll(requests, options ?? undefined, signal),
    handshake: ([requests], signal) => handshakeAll(requests, signal),
    received: async ([nonces]) => receipts.find(checkList('nonces', nonces, MOST_NONCES).map(String)),
    ping: (params, signal) => ping(requestOf(params), signal),
    sweepPathMtu: (params, signal) => sweepPathMtu(requestOf(params), signal),
    transfer: (params, signal) => transfer(requestOf(params), signal),
    resolve: ([requests], signal) => resolveAll(requests, signal),
    startSampling: async (params) => samplers.start(requestOf(params)),
    stopSampling: ([id]) => samplers.stop(id),
    serveThroughput: (params) => servers.serve(requestOf(params)),
    throughput: (params, signal) => throughput(requestOf(params), signal),
    burst: (params, signal) => burst(requestOf(params), signal),
    trace: (params, signal) => trace(requestOf(params), signal),
    startBackend: (params) => backends.start(requestOf(params)),
    disturbBackend: ([port, event]) => backends.disturb(port, event as BackendEvent),
    stopBackend: ([port]) => backends.stop(port),
    forgetPathMtu: (_params, signal) => flushRouteCache(signal),
    setMtuProbing: ([mode]) => setMtuProbing(mode),
  };

  process.on('SIGTERM', () => stop(socketPath, 0));
  process.on('SIGINT', () => stop(socketPath, 0));
  // Whoever started it may be gone, and its end of the pipes too.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  // The last resort: what one caller or one stray packet breaks must not take away the probe from all other cases.
  process.on('uncaughtException', (error) => console.error(error));
  process.on('unhandledRejection', (error) => console.error(error));

  try {
    await listen({ identity, receipts }, values.gateway);
    await listenForCalls(socketPath, methods);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, identity })}\n`);
}

/** A request as it came; every method checks the fields it uses. */
// oxlint-disable-next-line typescript/no-explicit-any -- what it is to be is said, and checked, by the method
const requestOf = (params: readonly unknown[]): any => checkRecord('request', params[0]);

function stop(socketPath: string, exitCode: number): never {
  killAllTools();
  try {
    unlinkSync(socketPath);
  } catch {
    // It is gone, or there never was one.
  }
  process.exit(exitCode);
}

await serve();
