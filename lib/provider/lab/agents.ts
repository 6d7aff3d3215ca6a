/** The probe agents of a lab: one process a workload, started once. */
import { UserError } from '../../model/errors.ts';
import type { Probe } from '../../model/probe.ts';
import { acceptsConnections } from '../../system/sockets.ts';
import type { LabContext } from './context.ts';
import { SOCKET_PATH_BYTES, agentPath, gatewayNetns, workloadNetns } from './names.ts';
import { startInNetns } from './namespace.ts';
import { untilReady } from './processes.ts';

/** Many start at once on few processors. */
const START_MS = 30_000;

export interface AgentPlace {
  readonly cluster: string;
  /** Absent for the gateway's own agent. */
  readonly workload?: { readonly namespace: string; readonly name: string };
}

const socketOf = (context: LabContext, { cluster, workload }: AgentPlace): string =>
  `${agentPath(context.state.run, cluster, workload)}.sock`;

/** @throws UserError when the names make the path of the agent's socket too long for the kernel */
export function checkSocketPath(context: LabContext, place: AgentPlace): void {
  const socket = socketOf(context, place);
  if (Buffer.byteLength(socket) <= SOCKET_PATH_BYTES) return;
  throw new UserError(`the socket ${socket} would have a path of more than ${SOCKET_PATH_BYTES} bytes`, {
    remedy: 'use shorter names for clusters, namespaces or workloads',
  });
}

export async function startAgent(context: LabContext, place: AgentPlace): Promise<Probe> {
  const { run } = context.state;
  const { cluster, workload } = place;
  const socket = socketOf(context, place);
  const logPath = `${agentPath(run, cluster, workload)}.log`;
  const { namespace, name } = workload ?? { namespace: 'gateway', name: 'gateway' };
  const pid = await startInNetns(
    workload ? workloadNetns(run, cluster, workload) : gatewayNetns(run, cluster),
    [
      ...context.dependencies.agentCommand,
      '--socket',
      socket,
      '--cluster',
      cluster,
      '--namespace',
      namespace,
      '--workload',
      name,
      ...(workload ? [] : ['--gateway']),
    ],
    { run, logPath },
  );
  await untilReady(
    { name: `probe agent of ${cluster}/${namespace}/${name}`, pid, logPath },
    () => acceptsConnections(socket),
    { timeoutMs: START_MS, signal: context.signal },
  );
  return context.dependencies.connectProbe(socket);
}

/** The agent that runs there already; undefined when none does. */
export async function findAgent(context: LabContext, place: AgentPlace): Promise<Probe | undefined> {
  const socket = socketOf(context, place);
  return (await acceptsConnections(socket)) ? context.dependencies.connectProbe(socket) : undefined;
}
