import { randomHex, systemClock } from '../../system/clock.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { Capture, Gateway } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { Probe } from '../../model/probe.ts';
import { type Command, openCommand, quoteCommand, runCommand } from '../../system/commands.ts';
import { SHELL_SESSION, ShellSession } from '../../system/shellSession.ts';
import { RUN_MARK } from '../../system/processes.ts';
import { agentBridge } from '../agentBridge.ts';
import { Captures, LISTENING, type RunningTcpdump, type View, tcpdumpCommand } from '../capture/tcpdump.ts';
import { lazyProbe } from '../lazyProbe.ts';
import type { ConnectProbe } from './context.ts';
import { insideContainer } from './docker.ts';
import { GATEWAY_FOLDER } from './names.ts';

export interface GatewayFacts {
  readonly run: string;
  readonly cluster: string;
  readonly container: string;
  readonly wanAddresses: PerFamily<string>;
  readonly nodeAddresses: PerFamily<string>;
  readonly wanInterface: string;
  readonly clusterInterface: string;
}

/** The client and the engine between us and the program take their time too, on a busy machine. */
const CLIENT_MARGIN_MS = 5_000;
const EXEC_MS = 20_000;
const START_MS = 30_000;
const POLL_MS = 50;
const AGENT = 'agent';
const AGENT_SOCKET = `${GATEWAY_FOLDER}/agent.sock`;
/** In the environment of a daemon, so that its process id is not taken for a later one's. */
export const DAEMON_MARK = 'MCNET_DAEMON';

const inFolder = (name: string): string => `${GATEWAY_FOLDER}/${name}`;

/** A program that is being executed has no environment for a moment: longer, where it must be read from a busy disk. */
const EXECUTED_POLLS = 100;

/** For `sh`: prints the process id in this file if a daemon of this name runs under it. `proc` is for tests. */
export const runningDaemon = (pidFile: string, name: string, proc = '/proc'): string =>
  [
    `[ -s ${pidFile} ] || exit 0`,
    `read -r pid < ${pidFile}`,
    `for poll in $(seq ${EXECUTED_POLLS}); do`,
    `  marks=$( (tr '\\0' '\\n' < ${proc}/$pid/environ) 2> /dev/null) || exit 0`,
    '  [ -z "$marks" ] || break',
    // A zombie has no environment any more.
    `  grep -q '^State:.*Z' ${proc}/$pid/status 2> /dev/null && exit 0`,
    '  sleep 0.05',
    'done',
    `if echo "$marks" | grep -qxF ${DAEMON_MARK}=${name}; then echo $pid; fi`,
  ].join('\n');

/** A container on exactly its cluster's network and the wan. */
export class KindGateway implements Gateway {
  readonly run: string;
  readonly cluster: string;
  readonly container: string;
  readonly wanAddresses: PerFamily<string>;
  readonly nodeAddresses: PerFamily<string>;
  readonly wanInterface: string;
  readonly clusterInterface: string;
  readonly shell: string;
  /** Its agent is started on first use. */
  readonly probe: Probe;
  readonly #captures = new Captures((view) => this.#startTcpdump(view));
  /** One shell for all programs that end: the engine takes long to start each. */
  readonly #commands = new ShellSession(() => openCommand(insideContainer(this.container, SHELL_SESSION)));

  constructor(facts: GatewayFacts, connectProbe: ConnectProbe) {
    this.run = facts.run;
    this.cluster = facts.cluster;
    this.container = facts.container;
    this.wanAddresses = facts.wanAddresses;
    this.nodeAddresses = facts.nodeAddresses;
    this.wanInterface = facts.wanInterface;
    this.clusterInterface = facts.clusterInterface;
    this.shell = `docker exec ${this.container}`;
    this.probe = lazyProbe(async () => {
      await this.#startAgent();
      return connectProbe(this.#agentTransport);
    });
  }

  get #agentTransport() {
    const bridge = insideContainer(this.container, agentBridge(AGENT_SOCKET));
    return { where: `the gateway of ${this.cluster}`, open: () => openCommand(bridge) };
  }

  async exec(command: Command, options: { input?: string; timeoutMs?: number } = {}): Promise<string> {
    return (await this.#read(command, options)).toString();
  }

  /** What it prints, byte by byte. */
  #read(command: Command, options: { input?: string; timeoutMs?: number } = {}): Promise<Buffer> {
    const { timeoutMs = EXEC_MS, input } = options;
    // Ending the client would leave the program in the container running.
    const limited: Command = ['timeout', '--signal=KILL', (timeoutMs / 1_000).toFixed(3), ...command];
    return this.#commands.run(limited, {
      timeoutMs: timeoutMs + CLIENT_MARGIN_MS,
      shown: insideContainer(this.container, limited),
      ...(input !== undefined && { input }),
    });
  }

  async startDaemon(name: string, command: Command, environment: Record<string, string> = {}): Promise<void> {
    if ((await this.daemonPid(name)) !== undefined) {
      throw new InternalError(`${name} runs already in ${this.container}`);
    }
    const variables = Object.entries({ ...environment, [RUN_MARK]: this.run, [DAEMON_MARK]: name });
    const script = `echo $$ > ${inFolder(`${name}.pid`)}; exec ${quoteCommand(command)} >> ${inFolder(`${name}.log`)} 2>&1`;
    await runCommand([
      'docker',
      'exec',
      '--detach',
      ...variables.map(([key, value]) => `--env=${key}=${value}`),
      this.container,
      'sh',
      '-c',
      script,
    ]);
    const end = systemClock.monotonic() + START_MS;
    while ((await this.#text(`${name}.pid`)).trim() === '') {
      if (systemClock.monotonic() > end) throw new Error(`${name} did not start in ${this.container}`);
      await systemClock.sleep(POLL_MS);
    }
    if ((await this.daemonPid(name)) === undefined) {
      throw new Error(`${name} ended at once: ${(await this.#text(`${name}.log`)).slice(-2_000).trim()}`);
    }
  }

  async stopDaemon(name: string): Promise<void> {
    const pid = await this.daemonPid(name);
    const ended = '[ ! -e /proc/$1 ] && exit 0; sleep 0.05';
    const script = `kill $1; for i in $(seq 10); do ${ended}; done; kill -KILL $1; for i in $(seq 100); do ${ended}; done; exit 1`;
    if (pid !== undefined) await this.exec(['sh', '-c', script, 'sh', String(pid)]);
    await this.exec(['rm', '-f', inFolder(`${name}.pid`)]);
  }

  /** Process id, inside the container, of a daemon that runs; undefined when it does not. */
  async daemonPid(name: string): Promise<number | undefined> {
    const script = runningDaemon(inFolder(`${name}.pid`), name);
    const shown = (await this.exec(['sh', '-c', script])).trim();
    return shown === '' ? undefined : Number(shown);
  }

  #text(name: string): Promise<string> {
    return this.exec(['sh', '-c', `cat ${inFolder(name)} 2> /dev/null || true`]);
  }

  async writeFile(name: string, content: string, mode = 0o600): Promise<string> {
    const file = inFolder(name);
    const script = `umask 077; cat > ${file}.new && chmod ${mode.toString(8)} ${file}.new && mv ${file}.new ${file}`;
    await this.exec(['sh', '-c', script], { input: content });
    return file;
  }

  startCapture(request: Parameters<Gateway['startCapture']>[0]): Promise<Capture> {
    return this.#captures.start(request);
  }

  async #startTcpdump(view: View): Promise<RunningTcpdump> {
    const name = `capture-${randomHex(4)}`;
    const pcap = inFolder(`${name}.pcap`);
    await this.startDaemon(name, tcpdumpCommand(view, pcap));
    const pid = await this.daemonPid(name);
    const log = (): Promise<string> => this.#text(`${name}.log`);
    const end = systemClock.monotonic() + START_MS;
    while (!(await log()).includes(LISTENING)) {
      if (systemClock.monotonic() > end) throw new Error(`tcpdump was not ready: ${await log()}`);
      await systemClock.sleep(POLL_MS);
    }
    return {
      // Each question starts a few programs in the container.
      pollMs: 100,
      log,
      signal: async (signal) => {
        await this.exec(['sh', '-c', `kill -${signal.slice(3)} ${pid} || true`]);
      },
      hasEnded: async () => (await this.daemonPid(name)) === undefined,
      readPcap: () => this.#read(['cat', pcap]),
      remove: async () => {
        await this.exec(['sh', '-c', `rm -f ${inFolder(name)}.*`]);
      },
    };
  }

  async #startAgent(): Promise<void> {
    if ((await this.daemonPid(AGENT)) === undefined) {
      const identity = ['--cluster', this.cluster, '--namespace', 'gateway', '--workload', 'gateway'];
      await this.startDaemon(AGENT, ['mcnet-agent', '--gateway', '--socket', AGENT_SOCKET, ...identity]);
    }
    const seconds = START_MS / 1_000;
    await this.exec(
      ['timeout', String(seconds), 'sh', '-c', `until [ -S ${AGENT_SOCKET} ]; do sleep 0.05; done`],
      { timeoutMs: START_MS + CLIENT_MARGIN_MS },
    );
  }
}
