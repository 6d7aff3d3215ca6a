/** A cluster's service controller as the provider sees it: started when first needed, told of every change. */
import path from 'node:path';
import { InternalError } from '../../model/errors.ts';
import { acceptsConnections, askOverSocket } from '../../system/sockets.ts';
import { shared } from '../concurrency.ts';
import type { LabContext } from './context.ts';
import {
  CONFIG_FILE,
  type ControllerReply,
  type ControllerRequest,
  type ControllerStatus,
  SOCKET_FILE,
  controllerCommand,
} from './controller/config.ts';
import type { LabGateway } from './gateway.ts';
import { untilReady } from './processes.ts';
import { controllerConfig } from './services.ts';

const DAEMON = 'controller';
const START_MS = 30_000;
const REPLY_MS = 20_000;

export class ServiceController {
  readonly #context: LabContext;
  readonly #gateway: LabGateway;
  readonly #socket: string;
  /** The configuration that the controller has confirmed to this process. */
  #inForce: string | undefined;

  constructor(context: LabContext, gateway: LabGateway) {
    this.#context = context;
    this.#gateway = gateway;
    this.#socket = path.join(gateway.folder, SOCKET_FILE);
  }

  /** Puts the fleet's present state in force in this cluster; callers at the same time share one reload. */
  readonly follow: () => Promise<void> = shared(async () => {
    const config = controllerConfig(this.#context.state, this.#gateway.cluster);
    const text = JSON.stringify(config, undefined, 2);
    const isIdle = this.#inForce === undefined && config.services.length === 0;
    if (isIdle || text === this.#inForce) return;
    await this.#gateway.writeFile(CONFIG_FILE, text);
    if (!(await acceptsConnections(this.#socket))) await this.#start();
    await this.#ask({ method: 'reload' });
    this.#inForce = text;
  });

  async status(): Promise<ControllerStatus> {
    const { status } = await this.#ask({ method: 'status' });
    if (!status) throw new InternalError('the service controller gave no status');
    return status;
  }

  async #start(): Promise<void> {
    await this.#gateway.startDaemon(DAEMON, [...controllerCommand(), '--folder', this.#gateway.folder]);
    const pid = await this.#gateway.daemonPid(DAEMON);
    await untilReady(
      {
        name: `service controller of ${this.#gateway.cluster}`,
        pid: pid ?? 0,
        logPath: path.join(this.#gateway.folder, `${DAEMON}.log`),
      },
      () => acceptsConnections(this.#socket),
      { timeoutMs: START_MS, signal: this.#context.signal },
    );
  }

  async #ask(request: ControllerRequest): Promise<Extract<ControllerReply, { ok: true }>> {
    const reply = JSON.parse(
      await askOverSocket(this.#socket, JSON.stringify(request), REPLY_MS),
    ) as ControllerReply;
    if (!reply.ok) throw new Error(`service controller of ${this.#gateway.cluster}: ${reply.error}`);
    return reply;
  }
}
