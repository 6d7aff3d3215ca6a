/**
 * Endpoints of services whose backends are started by checks inside agents: what Kubernetes itself would say of a pod
 * that starts, ends or is deleted, and nothing of one that crashes or freezes, unless its service is to be checked for
 * readiness (see README.md).
 */
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import type { Probe } from '../../model/probe.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf, selects } from '../../model/workload.ts';
import { checkReadiness } from './readiness.ts';
import { sliceOf } from './services.ts';

/** Where a backend runs. */
export interface BackendPlace {
  readonly spec: WorkloadSpec;
  readonly addresses: PerFamily<string>;
  /** Names of pod and namespace in the cluster. */
  readonly pod: string;
  readonly namespace: string;
  readonly node: string | undefined;
}

type Condition = 'ready' | 'unready' | 'terminating';

interface Service {
  readonly spec: ServiceSpec;
  readonly namespace: string;
  readonly endpoints: Map<string, { readonly place: BackendPlace; readonly condition: Condition }>;
  /** The write before: two at once could arrive in either order. */
  written: Promise<void>;
}

export class StartedBackends {
  readonly #families: readonly IpFamily[];
  readonly #apply: (objects: readonly KubernetesObject[]) => Promise<void>;
  readonly #services = new Map<string, Service>();

  constructor(families: readonly IpFamily[], apply: (objects: readonly KubernetesObject[]) => Promise<void>) {
    this.#families = families;
    this.#apply = apply;
  }

  /** @param namespace its name in the cluster */
  add(spec: ServiceSpec, namespace: string): Promise<void> {
    const known = this.#services.get(keyOf(spec));
    const service: Service = known ?? { spec, namespace, endpoints: new Map(), written: Promise.resolve() };
    this.#services.set(keyOf(spec), service);
    return this.#write(service);
  }

  /** Looks at what was just started, where its service wants that. @returns how to stop it */
  #check(probe: Probe, place: BackendPlace, port: number): (() => Promise<void>) | undefined {
    const { ipv4, ipv6 } = place.addresses;
    const address = ipv4 ?? ipv6;
    if (address === undefined || !this.#servicesOn(place, port).some(({ spec }) => spec.readinessChecked))
      return;
    return checkReadiness({
      probe,
      address,
      port,
      onChange: (ready) => this.#set(place, port, ready ? 'ready' : 'unready'),
    });
  }

  /** The same probe, whose backends are endpoints while they are to be called. */
  following(probe: Probe, place: BackendPlace): Probe {
    const checks = new Map<number, () => Promise<void>>();
    const endCheck = async (port: number): Promise<void> => {
      const end = checks.get(port);
      checks.delete(port);
      await end?.();
    };
    return {
      ...probe,
      startBackend: async (request) => {
        const { port } = request;
        await probe.startBackend(request);
        await this.#set(place, port, 'ready');
        const end = this.#check(probe, place, port);
        if (end) checks.set(port, end);
      },
      disturbBackend: async (port, event) => {
        // Kubernetes takes a pod that is being deleted out of its services while it still answers.
        if (event === 'drain') {
          await endCheck(port);
          await this.#set(place, port, 'terminating');
        }
        await probe.disturbBackend(port, event);
      },
      stopBackend: async (port) => {
        await endCheck(port);
        await this.#set(place, port, undefined);
        await probe.stopBackend(port);
      },
    };
  }

  /** Nothing of a workload that is gone stays listed. */
  async forget(place: Pick<BackendPlace, 'spec'>): Promise<void> {
    const key = keyOf(place.spec);
    const listed = [...this.#services.values()].filter(({ endpoints }) => endpoints.delete(key));
    await Promise.all(listed.map((service) => this.#write(service)));
  }

  #servicesOn({ spec: { namespace, labels } }: BackendPlace, port: number): Service[] {
    return [...this.#services.values()].filter(
      ({ spec }) =>
        spec.namespace === namespace &&
        spec.ports.some((one) => one.port === port) &&
        selects(spec.selector, labels),
    );
  }

  async #set(place: BackendPlace, port: number, condition: Condition | undefined): Promise<void> {
    const key = keyOf(place.spec);
    const services = this.#servicesOn(place, port);
    for (const service of services) {
      if (condition === undefined) service.endpoints.delete(key);
      else service.endpoints.set(key, { place, condition });
    }
    await Promise.all(services.map((service) => this.#write(service)));
  }

  #write(service: Service): Promise<void> {
    const write = async (): Promise<void> => this.#apply(this.#slicesOf(service));
    service.written = service.written.then(write, write);
    return service.written;
  }

  #slicesOf({ spec, namespace, endpoints }: Service): KubernetesObject[] {
    return this.#families.map((family) =>
      sliceOf(
        spec,
        namespace,
        family,
        [...endpoints.values()].flatMap(({ place, condition }) => {
          const address = place.addresses[family];
          if (address === undefined) return [];
          const ready = condition === 'ready';
          return [
            {
              addresses: [address],
              conditions: {
                ready,
                serving: condition !== 'unready',
                terminating: condition === 'terminating',
              },
              targetRef: { kind: 'Pod', name: place.pod, namespace: place.namespace },
              ...(place.node !== undefined && { nodeName: place.node }),
            },
          ];
        }),
      ),
    );
  }
}
