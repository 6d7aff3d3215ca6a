/**
 * Endpoints of services whose backends are started by checks inside agents: what Kubernetes itself would say of a pod
 * that starts, ends or is deleted, and nothing of one that crashes or freezes (see README.md).
 */
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import type { Probe } from '../../model/probe.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf, selects } from '../../model/workload.ts';
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

type Condition = 'ready' | 'terminating';

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

  /** The same probe, whose backends are endpoints while they are to be called. */
  following(probe: Probe, place: BackendPlace): Probe {
    return {
      ...probe,
      startBackend: async (request) => {
        await probe.startBackend(request);
        await this.#set(place, request.port, 'ready');
      },
      disturbBackend: async (port, event) => {
        // Kubernetes takes a pod that is being deleted out of its services while it still answers.
        if (event === 'drain') await this.#set(place, port, 'terminating');
        await probe.disturbBackend(port, event);
      },
      stopBackend: async (port) => {
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

  async #set(place: BackendPlace, port: number, condition: Condition | undefined): Promise<void> {
    const key = keyOf(place.spec);
    const services = [...this.#services.values()].filter(
      ({ spec }) =>
        spec.namespace === place.spec.namespace &&
        spec.ports.some((one) => one.port === port) &&
        selects(spec.selector, place.spec.labels),
    );
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
              conditions: { ready, serving: true, terminating: !ready },
              targetRef: { kind: 'Pod', name: place.pod, namespace: place.namespace },
              ...(place.node !== undefined && { nodeName: place.node }),
            },
          ];
        }),
      ),
    );
  }
}
