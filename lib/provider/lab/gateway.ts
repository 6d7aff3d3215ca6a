import path from 'node:path';
import type { Capture, Gateway } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { Probe } from '../../model/probe.ts';
import type { Command } from '../../system/commands.ts';
import { readIfPresent, removePath, writeAtomically } from '../../system/files.ts';
import { isAlive, startTimeOf } from '../../system/processes.ts';
import { executeUndo } from '../../system/undo.ts';
import { gatewayAddresses } from './addresses.ts';
import { Captures } from '../capture/tcpdump.ts';
import { lazyProbe } from '../lazyProbe.ts';
import { findAgent, startAgent } from './agents.ts';
import { startTcpdump } from './capture.ts';
import type { LabContext } from './context.ts';
import { CLUSTER_INTERFACE, WAN_INTERFACE, clusterFolder, gatewayNetns } from './names.ts';
import { runInNetns, startInNetns } from './namespace.ts';
import { logTail } from './processes.ts';

interface DaemonRecord {
  readonly pid: number;
  readonly startTime: string;
}

/** The gateway namespace of a cluster: its only node, and its router. */
export class LabGateway implements Gateway {
  readonly cluster: string;
  readonly netns: string;
  readonly wanAddresses: PerFamily<string>;
  readonly nodeAddresses: PerFamily<string>;
  readonly wanInterface = WAN_INTERFACE;
  readonly clusterInterface = CLUSTER_INTERFACE;
  readonly shell: string;
  /** Its agent is started on first use, so that large fleets stay small. */
  readonly probe: Probe;
  readonly folder: string;
  readonly run: string;
  readonly #captures = new Captures((view) => startTcpdump(this, view));

  constructor(context: LabContext, cluster: string) {
    const { run, plan, families } = context.state;
    const addresses = gatewayAddresses(plan, families, cluster);
    this.cluster = cluster;
    this.netns = gatewayNetns(run, cluster);
    this.wanAddresses = addresses.wan;
    this.nodeAddresses = addresses.node;
    this.shell = `ip netns exec ${this.netns}`;
    this.probe = lazyProbe(
      async () => (await findAgent(context, { cluster })) ?? startAgent(context, { cluster }),
    );
    this.folder = clusterFolder(run, cluster);
    this.run = run;
  }

  exec(command: Command, options: { input?: string; timeoutMs?: number } = {}): Promise<string> {
    return runInNetns(this.netns, command, options);
  }

  async startDaemon(name: string, command: Command, environment: Record<string, string> = {}): Promise<void> {
    if (await this.#runningDaemon(name)) throw new InternalError(`${name} runs already in ${this.netns}`);
    const logPath = path.join(this.folder, `${name}.log`);
    const pid = await startInNetns(this.netns, command, { run: this.run, logPath, environment });
    const startTime = await startTimeOf(pid);
    if (startTime === undefined) throw new Error(`${name} ended at once: ${await logTail(logPath)}`);
    const record: DaemonRecord = { pid, startTime };
    await this.writeFile(daemonFile(name), JSON.stringify(record));
  }

  async stopDaemon(name: string): Promise<void> {
    const daemon = await this.#runningDaemon(name);
    if (daemon) await executeUndo({ kind: 'kill-process', ...daemon });
    await removePath(path.join(this.folder, daemonFile(name)));
  }

  /** Process id of a daemon that runs; undefined when it does not. */
  async daemonPid(name: string): Promise<number | undefined> {
    return (await this.#runningDaemon(name))?.pid;
  }

  async #runningDaemon(name: string): Promise<DaemonRecord | undefined> {
    const text = await readIfPresent(path.join(this.folder, daemonFile(name)));
    if (text === undefined) return undefined;
    const record = JSON.parse(text) as DaemonRecord;
    return (await isAlive(record.pid, record.startTime)) ? record : undefined;
  }

  async writeFile(name: string, content: string, mode = 0o600): Promise<string> {
    const file = path.join(this.folder, name);
    await writeAtomically(file, content, mode);
    return file;
  }

  startCapture(request: Parameters<Gateway['startCapture']>[0]): Promise<Capture> {
    return this.#captures.start(request);
  }
}

const daemonFile = (name: string): string => `${name}.pid`;
