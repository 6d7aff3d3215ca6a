/** Processes that faults stop, and those that they start. */
import { firstOf } from '../../../model/cidr.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { systemClock } from '../../../system/clock.ts';
import { quoteCommand } from '../../../system/commands.ts';
import { readIfPresent } from '../../../system/files.ts';
import { markedProcesses, sendSignal, startTimeOf } from '../../../system/processes.ts';
import { workloadNetns } from '../names.ts';
import { runInNetns, startInNetns } from '../namespace.ts';
import { untilReady } from '../processes.ts';
import type { FaultOf, Injection } from '../../../model/injection.ts';
import { clusterOf, prepareMending } from './injector.ts';

const LOOKUP_MS = 500;
const STOP_MS = 1_000;
const POLL_MS = 20;

/** Stops these processes, but for those that somebody has stopped already: they stay so when this is mended. */
async function freeze(
  injection: Injection,
  place: { readonly netns: string; readonly cluster: string },
  pids: readonly number[],
): Promise<{ readonly frozen: () => Promise<boolean>; readonly mend: () => Promise<void> }> {
  const running = (
    await Promise.all(
      pids.map(async (pid) => ({ pid, startTime: await startTimeOf(pid), stopped: await isStopped(pid) })),
    )
  ).filter(({ startTime, stopped }) => startTime !== undefined && !stopped);
  const mend = await prepareMending(
    injection,
    place,
    running
      .map(
        // Field 22 counted from behind the name, which may hold blanks; another process may have the id by then.
        ({ pid, startTime }) =>
          `[ "$(sed 's/.*) //' /proc/${pid}/stat 2> /dev/null | cut -d ' ' -f 20)" != ${startTime} ] || kill -CONT ${pid}\n`,
      )
      .join(''),
  );
  for (const { pid } of running) sendSignal(pid, 'SIGSTOP');
  return {
    async frozen() {
      // A process stops when each of its threads has come by.
      const end = systemClock.monotonic() + STOP_MS;
      for (;;) {
        const states = await Promise.all(running.map(({ pid }) => isStopped(pid)));
        if (states.includes(true) && !states.includes(false)) return true;
        if (systemClock.monotonic() > end) return false;
        await systemClock.sleep(POLL_MS);
      }
    },
    mend,
  };
}

/** State `T` of proc_pid_stat(5); undefined when there is no such process any more. */
async function isStopped(pid: number): Promise<boolean | undefined> {
  const stat = await readIfPresent(`/proc/${pid}/stat`).catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

export async function stopDns(injection: Injection<FaultOf<'dns-stopped'>>): Promise<Disturbance> {
  const cluster = clusterOf(injection.fleet, injection.fault.cluster);
  const { dnsPid } = await cluster.controller.status();
  if (dnsPid === undefined) throw new InternalError(`cluster ${cluster.name} has no DNS server to stop`);
  const { netns } = cluster.gateway;
  const { mend } = await freeze(injection, { netns, cluster: cluster.name }, [dnsPid]);
  return {
    async tookHold() {
      const [answer] = await cluster.gateway.probe.resolve([
        { server: firstOf(cluster.dns), name: 'cluster.local', type: 'A', timeoutMs: LOOKUP_MS },
      ]);
      return answer?.outcome === 'timed-out';
    },
    mend,
  };
}

/** All processes in the namespaces of the gateway and the workloads: agents, backends, controller, DNS, tunnel. */
export async function freezeCluster(injection: Injection<FaultOf<'cluster-frozen'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const { netns } = cluster.gateway;
  const namespaces = [
    netns,
    ...cluster.workloads.map(({ spec }) => workloadNetns(fleet.run, cluster.name, spec)),
  ];
  const inside = await Promise.all(
    namespaces.map((name) => runInNetns(netns, ['ip', 'netns', 'pids', name])),
  );
  // Whatever a person runs there is not ours to stop.
  const marked = await markedProcesses(fleet.run);
  const pids = inside.join('').split('\n').filter(Boolean).map(Number);
  const { mend, frozen } = await freeze(
    injection,
    { netns, cluster: cluster.name },
    pids.filter((pid) => marked.includes(pid)),
  );
  return { tookHold: frozen, mend };
}

/** A program of the fault's own. */
export interface Companion {
  /** Lines for a shell that end it, also when nobody knows its id. */
  readonly ending: string;
  start(netns: string, run: string, command: readonly [string, ...string[]]): Promise<void>;
  /** @throws Error with the end of its log, when it ends before or is not ready in time */
  untilReady(isReady: () => Promise<boolean>, timeoutMs: number): Promise<void>;
  /** Ready when it listens on this UDP port. */
  untilListening(netns: string, port: number, timeoutMs: number): Promise<void>;
}

export function companion(pidFile: string): Companion {
  const logPath = `${pidFile}.log`;
  let pid = 0;
  const ready: Companion['untilReady'] = (isReady, timeoutMs) =>
    untilReady({ name: 'what this fault starts', pid, logPath }, isReady, { timeoutMs });
  return {
    // The mark in its environment tells it from a later process with the same id.
    ending: [
      `if [ -e ${pidFile} ]; then`,
      `  read -r pid < ${pidFile}`,
      `  if tr '\\0' '\\n' < /proc/$pid/environ 2> /dev/null | grep -qxF MCNET_FAULT=${pidFile}; then kill -KILL $pid; fi`,
      'fi',
      `rm -f ${pidFile} ${logPath}`,
    ].join('\n'),
    async start(netns, run, command) {
      pid = await startInNetns(netns, ['sh', '-c', `echo $$ > ${pidFile}; exec ${quoteCommand(command)}`], {
        run,
        logPath,
        environment: { MCNET_FAULT: pidFile },
      });
    },
    untilReady: ready,
    untilListening: (netns, port, timeoutMs) =>
      ready(
        async () => (await runInNetns(netns, ['ss', '-Hlun', `sport = :${port}`])).trim() !== '',
        timeoutMs,
      ),
  };
}
