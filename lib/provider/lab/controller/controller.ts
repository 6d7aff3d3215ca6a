/** Ties health checks, peers, rules and DNS together. */
import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../../model/errors.ts';
import { keyOf } from '../../../model/workload.ts';
import {
  CONFIG_FILE,
  type ControllerConfig,
  type ControllerReply,
  type ControllerRequest,
  type ControllerStatus,
  type EndpointStatus,
} from './config.ts';
import { DnsServer } from './dns.ts';
import { HEALTH_PERIOD_MS, HealthChecks, type Target } from './health.ts';
import { renderNft } from './nft.ts';
import { parseConfig } from './parse.ts';
import { PEER_PERIOD_MS, Peers } from './peers.ts';
import { renderDnsmasq, renderHosts } from './records.ts';
import { type ServiceState, isHealthChecked, localEndpoints, stateOf } from './state.ts';

const COMMAND_TIMEOUT_MS = 10_000;
/** After rules that could not be loaded, for want of memory or processes. */
const RETRY_MS = 1_000;

export class Controller {
  readonly #folder: string;
  readonly #health: HealthChecks;
  readonly #peers: Peers;
  readonly #dns = new DnsServer();
  #config: ControllerConfig | undefined;
  #rules = '';
  #following = false;
  /** Steps in the queue that have not ended. */
  #working = 0;
  /** When rules and records last followed a change, on the monotonic clock. */
  #followed = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Work that changes the world runs one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.#folder = folder;
    this.#health = new HealthChecks((target, state, cause) => {
      console.log(`endpoint ${target.address} port ${target.port} is ${state}: ${cause}`);
      this.#followSoon();
    });
    this.#peers = new Peers((cluster, cause) => {
      console.log(`endpoints of ${cluster} changed: ${cause}`);
      this.#followSoon();
    });
  }

  async handle(request: ControllerRequest): Promise<ControllerReply> {
    try {
      switch (request?.method) {
        case 'reload':
          await this.#enqueue(() => this.#reload());
          return { ok: true };
        case 'status':
          return { ok: true, status: this.#status() };
        default:
          return { ok: false, error: 'unknown method' };
      }
    } catch (error) {
      return { ok: false, error: messageOf(error) };
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#health.stop();
    this.#peers.stop();
    await this.#dns.stop();
  }

  /** Resolves when the configuration is in force: rules loaded, DNS answering the new content. */
  async #reload(): Promise<void> {
    const config = parseConfig(await readFile(path.join(this.#folder, CONFIG_FILE), 'utf8'));
    await addMissingAddresses(Object.values(config.dns));
    this.#config = config;
    await this.#health.watch(targetsOf(config), config.healthPeriodMs ?? HEALTH_PERIOD_MS);
    this.#publish(this.#state(config));
    const { cluster, peers, families, listen, peerPeriodMs: periodMs = PEER_PERIOD_MS } = config;
    await this.#peers.watch({ cluster, peers, families, listen, periodMs });
    const state = this.#state(config);
    await this.#load(state);
    await this.#dns.configure(
      config.folder,
      Object.values(config.dns),
      renderDnsmasq(config),
      renderHosts(state, config),
    );
  }

  /** Many changes at once make one step. */
  #followSoon(): void {
    if (this.#following || this.#stopped) return;
    this.#following = true;
    const pauseMs = this.#followed + (this.#config?.followPauseMs ?? 0) - performance.now();
    if (pauseMs > 0) setTimeout(() => this.#followNow(), pauseMs);
    else this.#followNow();
  }

  #followNow(): void {
    void this.#enqueue(async () => {
      this.#following = false;
      if (!this.#config || this.#stopped) return;
      const state = this.#state(this.#config);
      await this.#load(state);
      await this.#dns.follow(renderHosts(state, this.#config));
      this.#followed = performance.now();
    }).catch((error: unknown) => {
      console.log(`could not follow the endpoints: ${messageOf(error)}`);
      setTimeout(() => this.#followSoon(), RETRY_MS).unref();
    });
  }

  #state(config: ControllerConfig): ServiceState[] {
    return stateOf(
      config,
      (address, port) => this.#health.isUp(address, port),
      (service) => this.#peers.endpointsOf(service),
    );
  }

  async #load(state: readonly ServiceState[]): Promise<void> {
    this.#publish(state);
    const rules = renderNft(state);
    if (rules === this.#rules) return;
    await run('nft', ['-f', '-'], rules);
    this.#rules = rules;
  }

  #publish(state: readonly ServiceState[]): void {
    const cluster = this.#config?.cluster ?? '';
    const shared = new Map(
      state.flatMap(({ service, local }) => (service.shared ? [[keyOf(service.spec), local] as const] : [])),
    );
    this.#peers.publish(cluster, shared);
  }

  #status(): ControllerStatus {
    if (!this.#config) throw new Error('there is no configuration yet');
    const config = this.#config;
    const dnsPid = this.#dns.pid;
    return {
      cluster: config.cluster,
      upToDate: !this.#following && this.#working === 0,
      services: config.services.map((service) => ({
        service: keyOf(service.spec),
        endpoints: [
          ...localEndpoints(config, service).map((endpoint): EndpointStatus => {
            const { state, ageMs } = isHealthChecked(service)
              ? this.#health.stateOf(endpoint.address, service.spec.healthPort)
              : { state: 'up' as const, ageMs: 0 };
            return { ...endpoint, health: state, ageMs };
          }),
          ...(service.shared ? this.#peers.endpointsOf(keyOf(service.spec)) : []).map(
            (endpoint): EndpointStatus => ({ ...endpoint, health: 'up', ageMs: 0 }),
          ),
        ],
      })),
      peers: this.#peers.status(),
      ...(dnsPid !== undefined && { dnsPid }),
    };
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    this.#working++;
    const done = this.#queue.then(work).finally(() => this.#working--);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

function targetsOf(config: ControllerConfig): Target[] {
  return config.services
    .filter(isHealthChecked)
    .flatMap((service) =>
      localEndpoints(config, service).map(({ address }) => ({ address, port: service.spec.healthPort })),
    );
}

async function addMissingAddresses(addresses: readonly string[]): Promise<void> {
  const present = new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
  );
  for (const address of addresses) {
    if (present.has(address)) continue;
    const host = address.includes(':') ? [`${address}/128`, 'nodad'] : [`${address}/32`];
    await run('ip', ['address', 'replace', ...host.slice(0, 1), 'dev', 'lo', ...host.slice(1)], '');
  }
}

/** Plain child_process: the room for commands brings 20 MB of library, which a hundred controllers would each load. */
function run(file: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { timeout: COMMAND_TIMEOUT_MS }, (error, _stdout, stderr) => {
      if (error) reject(new Error(`\`${file} ${args.join(' ')}\` failed: ${stderr || error.message}`));
      else resolve();
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
