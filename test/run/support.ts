/** Small stand-ins for everything a run is given: clusters that exist only in a ledger, and probes that answer at once. */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { AddressPlan } from '../../lib/model/addressing.ts';
import { type AnyCheck, type Suite, defineCheck } from '../../lib/model/check.ts';
import type {
  Cluster,
  Feature,
  Fleet,
  IntentHandler,
  Ledger,
  Profile,
  Provider,
  ProviderOptions,
  Underlay,
  UndoAction,
  Workload,
} from '../../lib/model/cluster.ts';
import type { FaultSpec } from '../../lib/model/fault.ts';
import type { Probe } from '../../lib/model/probe.ts';
import type { PlannedCase } from '../../lib/model/record.ts';
import type { RunEvent } from '../../lib/model/results.ts';
import type { RunSpec } from '../../lib/model/spec.ts';
import { untold } from '../../lib/model/steps.ts';
import type { Topology } from '../../lib/model/topology.ts';
import { type Verdict, failed, passed } from '../../lib/model/verdict.ts';
import { type ServiceSpec, keyOf } from '../../lib/model/workload.ts';
import type { RunDependencies } from '../../lib/run/execute.ts';
import type { Undoer } from '../../lib/run/undoAll.ts';
import { type Clock, systemClock } from '../../lib/system/clock.ts';

/** A hundred times faster than real: budgets and deadlines keep their order. */
export const fastClock: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * 100,
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds / 100, signal),
};

export const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export function topologyOf(names: readonly string[], kind: Topology['kind'] = 'full-mesh'): Topology {
  return { kind, members: names.map((name) => ({ name })), hub: names[0] as string };
}

export function planOf(names: readonly string[]): AddressPlan {
  return {
    pool: '10.0.0.0/8',
    prefix: 12,
    ipv6Pool: 'fd6d:636e:6574::/48',
    clusters: Object.fromEntries(
      names.map((name, index) => [
        name,
        {
          pods: { ipv4: `10.${index * 16}.0.0/13` },
          services: { ipv4: `10.${index * 16 + 8}.0.0/14` },
          nodes: { ipv4: `10.${index * 16 + 12}.0.0/16` },
        },
      ]),
    ),
    wan: { ipv4: '198.18.0.0/16' },
    tunnel: { ipv4: '198.19.0.0/16' },
  };
}

export function specOf(changes: Partial<RunSpec> & { names?: readonly string[] } = {}): RunSpec {
  const { names = ['east', 'west'], ...rest } = changes;
  return {
    profile: 'none',
    provider: 'lab',
    providerReason: 'a test',
    underlay: 'direct',
    topology: topologyOf(names),
    families: ['ipv4'],
    plan: planOf(names),
    level: 'core',
    suites: [],
    checks: [],
    skips: [],
    pairs: { kind: 'all' },
    tuning: 'as-configured',
    kubernetes: {
      cni: 'default',
      nodes: 1,
      contexts: {},
      nodeSelector: {},
      tolerations: [],
      imagePullSecrets: [],
      allowFaults: false,
      ranges: {},
      addressesPlanned: false,
    },
    istioTopology: 'multi-primary',
    ciliumSharing: 'global-service',
    ciliumRouting: 'native',
    ciliumKubeProxy: 'kept',
    ciliumEncryption: 'none',
    consulGateways: 'local',
    images: {},
    versions: {},
    tools: {},
    charts: {},
    budgets: {},
    out: 'unset',
    reports: [],
    keep: false,
    bail: false,
    seed: 'seed',
    yes: false,
    verbosity: 'normal',
    configuration: {},
    ...rest,
  };
}

/** A check that sees what `observe` returns and passes when `ok` is true there. */
export function checkOf(id: string, changes: Partial<AnyCheck> = {}): AnyCheck {
  return {
    ...defineCheck({
      id,
      title: id,
      level: 'core',
      scope: 'pair',
      hint: 'a test',
      observe: () => Promise.resolve({ ok: true }),
      judge: judgeOk,
    }),
    ...changes,
  };
}

export const judgeOk = (observed: unknown): Verdict =>
  (observed as { ok: boolean }).ok
    ? passed('It is fine')
    : failed('request-lost', 'It is not fine', { expected: 'fine', seen: 'not fine' });

export function suiteOf(id: string, ...checks: readonly AnyCheck[]): Suite {
  return { id, title: id, checks };
}

export function plannedCase(changes: Partial<PlannedCase> & { id: string }): PlannedCase {
  return {
    check: 'suite.check',
    suite: 'suite',
    title: 'a case',
    level: 'core',
    subject: { scope: 'pair', from: 'east', to: 'west' },
    variants: [],
    expectation: { family: 'ipv4', clusters: ['east', 'west'] },
    dependsOn: [],
    budgets: {},
    judgeVersion: 1,
    ...changes,
  };
}

/** A probe of which only the given questions work; the others reject. */
export function probeOf(answers: Partial<Probe> = {}): Probe {
  return new Proxy(answers as Probe, {
    get: (target, name) =>
      target[name as keyof Probe] ?? (() => Promise.reject(new Error(`${String(name)} is not faked`))),
  });
}

export interface FakeOptions {
  readonly names?: readonly string[];
  readonly features?: readonly Feature[];
  readonly probe?: Probe;
  /** Called at the begin of each step, by name: `create`, `join`, `startWorkload`, …; may reject or hang. */
  readonly hook?: (step: string, detail: string) => Promise<void> | void;
  readonly handlers?: readonly IntentHandler[];
  /** What every workload says that it waited for. */
  readonly waited?: string;
}

/** All parts of a fake system, with what exists of it and in which order things happened. */
export class FakeSystem {
  readonly log: string[] = [];
  /** What exists in this world, by description. */
  readonly existing = new Set<string>();
  readonly events: RunEvent[] = [];
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
  }

  async #step(step: string, detail = ''): Promise<void> {
    this.log.push(detail ? `${step} ${detail}` : step);
    await this.#options.hook?.(step, detail);
  }

  async #make(ledger: Ledger, what: string): Promise<void> {
    await ledger.add({ description: what, undo: { kind: 'delete-netns', name: what } });
    this.existing.add(what);
  }

  readonly undoer: Undoer = {
    executeUndo: async (action: UndoAction) => {
      const name = (action as { name: string }).name;
      await this.#step('undo', name);
      this.existing.delete(name);
    },
    stillExists: (action: UndoAction) =>
      Promise.resolve(this.existing.has((action as { name: string }).name)),
  };

  cluster(name: string, options: Pick<ProviderOptions, 'plan' | 'ledger'>): Cluster {
    const probe = this.#options.probe ?? probeOf();
    const workloads: Workload[] = [];
    const services: ServiceSpec[] = [];
    const addresses = { ipv4: '10.0.0.1', ipv6: 'fd00::1' };
    return {
      kind: 'lab',
      name,
      ranges: options.plan.clusters[name]!,
      workloads,
      dns: addresses,
      gateway: {
        cluster: name,
        wanAddresses: addresses,
        nodeAddresses: addresses,
        wanInterface: 'wan0',
        clusterInterface: 'br0',
        shell: `in ${name}`,
        probe,
        exec: () => Promise.resolve(''),
        startDaemon: () => Promise.resolve(),
        stopDaemon: () => Promise.resolve(),
        writeFile: () => Promise.resolve(''),
        startCapture: () =>
          Promise.resolve({
            stop: async () => {
              await this.#step('capture stopped', name);
              return { packets: 0, bytes: 0, markerPackets: 0, flows: [], droppedByKernel: 0 };
            },
          }),
      },
      startWorkload: async (spec) => {
        await this.#step('startWorkload', `${name}/${keyOf(spec)}`);
        await this.#make(options.ledger, `workload ${name}/${keyOf(spec)}`);
        const { waited } = this.#options;
        const workload = {
          cluster: name,
          spec,
          addresses,
          probe,
          shell: `in ${name}/${keyOf(spec)}`,
          ...(waited !== undefined && { waited }),
        };
        workloads.push(workload);
        return workload;
      },
      exposeService: async (spec) => {
        await this.#step('exposeService', `${name}/${keyOf(spec)}`);
        services.push(spec);
      },
      serviceAddress: (service) => ({ name: service.name, addresses }),
      diagnose: async () => {
        await this.#step('diagnose', name);
        return { 'routes.txt': 'default via 10.0.0.1' };
      },
    };
  }

  readonly provider: Provider = {
    name: 'lab',
    features: ['l3.pod', 'policy', 'share-service'],
    handlers: [],
    injectors: [
      {
        kinds: ['policy-flushed'],
        reach: 'run',
        inject: async (fault: FaultSpec) => {
          await this.#step('inject', fault.kind);
          return {
            tookHold: () => Promise.resolve(true),
            mend: () => this.#step('mend', fault.kind),
            settle: () => this.#step('settle', fault.kind),
          };
        },
      },
    ],
    limits: {
      setUpMs: 60_000,
      setUpPerClusterMs: 5_000,
      graceMs: 5_000,
      teardownMs: 30_000,
      teardownPerClusterMs: 1_000,
    },
    check: async () => {
      await this.#step('check');
      return [];
    },
    create: async (options) => {
      await this.#step('create');
      for (const name of options.names) {
        options.signal.throwIfAborted();
        await this.#make(options.ledger, `cluster ${name}`);
      }
      await this.#step('created');
      return this.#fleet(options);
    },
    attach: async (run, options) => {
      await this.#step('attach', run);
      return this.#fleet(options);
    },
    observedVersions: () => Promise.resolve({ kernel: '6.1' }),
  };

  #fleet(options: ProviderOptions): Fleet {
    const { run, topology, plan, families } = options;
    const clusters = options.names.map((name) => this.cluster(name, options));
    return { run, topology, plan, families, clusters };
  }

  readonly underlay: Underlay = {
    name: 'direct',
    features: [],
    injectors: [],
    requirements: () => ({ wan: true, pathMtu: 1500, hostPackages: [] }),
    join: async (_fleet, ledger) => {
      await this.#step('join');
      await this.#make(ledger, 'tunnels');
    },
    observedVersions: () => Promise.resolve({ direct: 'routes' }),
    diagnose: () =>
      Promise.resolve({ 'tunnel.txt': 'PrivateKey = aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvMTI=' }),
  };

  get profile(): Profile {
    return {
      name: 'none',
      conformanceClass: 'underlay',
      features: this.#options.features ?? [],
      requirements: () => ({ wan: false, hostPackages: [] }),
      install: (_fleet, _ledger, step = untold) =>
        step({ what: 'control plane' }, () => this.#step('install')),
      handlers: this.#options.handlers ?? [this.handler],
      injectors: [],
      decorate: (spec) => spec,
      observedVersions: () => Promise.resolve({}),
    };
  }

  readonly handler: IntentHandler = {
    name: 'fake',
    supports: (intent) => (intent.kind === 'policy' && intent.name === 'odd' ? 'too odd' : true),
    apply: async (intent, cluster) => {
      const what = `${intent.kind} ${cluster.name}`;
      await this.#step('apply', what);
      return {
        rendered: 'a rule',
        settled: async () => {
          await this.#step('settled', what);
          return true;
        },
        undo: () => this.#step('undo intent', what),
      };
    },
    policySemantics: { protocols: ['tcp', 'udp'], selectorsMatchRemote: true, refusal: 'silence' },
    addressFrom: (cluster, service) => ({
      name: `${service.name}.${cluster.name}`,
      addresses: { ipv4: '10.9.9.9' },
    }),
  };

  dependencies(
    suites: readonly Suite[],
    folder: string,
    changes: Partial<RunDependencies> = {},
  ): RunDependencies {
    return {
      provider: this.provider,
      underlay: this.underlay,
      profile: this.profile,
      suites,
      clock: fastClock,
      observers: [(event) => this.events.push(event)],
      signal: new AbortController().signal,
      stateFolder: path.join(folder, 'state'),
      tool: 'mcnet-conformance test',
      undoer: this.undoer,
      ...changes,
    };
  }
}

/** Goes when the process ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mcnet-run-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
