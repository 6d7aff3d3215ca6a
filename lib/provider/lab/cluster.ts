import type { ClusterRanges } from '../../model/addressing.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { Cluster, Workload } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { ShareServiceIntent } from '../../model/intent.ts';
import {
  type ServiceSpec,
  type SharedAddress,
  type WorkloadSpec,
  keyOf,
  selects,
} from '../../model/workload.ts';
import { runCommand } from '../../system/commands.ts';
import { rangesInUse } from '../ranges.ts';
import { gatewayAddresses, workloadAddresses } from './addresses.ts';
import { checkSocketPath, findAgent, startAgent } from './agents.ts';
import type { LabContext } from './context.ts';
import { diagnoseCluster } from './diagnose.ts';
import { LabGateway } from './gateway.ts';
import { gatewayNetns, wanNetns, workloadNetns } from './names.ts';
import { PolicyEnforcement } from './policy-enforcement.ts';
import { renderWorkload } from './scripts.ts';
import { ServiceController } from './service-controller.ts';
import { localAddress, sharedAddress } from './services.ts';
import { clusterState, serviceOrder, withShare, withoutShare } from './state.ts';

type ServiceKey = { namespace: string; name: string };

/** A cluster of the lab; what is beyond the port is for the lab's own handlers and injectors. */
export class LabCluster implements Cluster {
  readonly kind = 'lab';
  readonly name: string;
  readonly ranges: ClusterRanges;
  readonly gateway: LabGateway;
  readonly dns: PerFamily<string>;
  readonly policies: PolicyEnforcement;
  readonly controller: ServiceController;
  readonly context: LabContext;
  /** All clusters of the fleet, this one included: what changes here may concern them. */
  readonly #fleet: () => readonly LabCluster[];
  readonly #running = new Map<number, Workload>();

  constructor(context: LabContext, name: string, fleet: () => readonly LabCluster[]) {
    const { plan, families } = context.state;
    this.name = name;
    this.context = context;
    this.ranges = rangesInUse(plan, families, name);
    this.gateway = new LabGateway(context, name);
    this.dns = gatewayAddresses(plan, families, name).dns;
    this.policies = new PolicyEnforcement(context, name);
    this.controller = new ServiceController(context, this.gateway);
    this.#fleet = fleet;
  }

  get workloads(): readonly Workload[] {
    return [...this.#running].toSorted(([a], [b]) => a - b).map(([, workload]) => workload);
  }

  get #state() {
    return clusterState(this.context.state, this.name);
  }

  async startWorkload(spec: WorkloadSpec): Promise<Workload> {
    const order = this.#reserve(spec);
    try {
      await this.#build(spec, order);
      const place = { cluster: this.name, workload: spec };
      const probe = await this.context.limit(() => startAgent(this.context, place));
      const workload = this.#workload(spec, order, probe);
      await Promise.all([this.#announce(workload), this.context.save()]);
      this.#running.set(order, workload);
      return workload;
    } catch (error) {
      this.#state.workloads[order] = null;
      throw error;
    }
  }

  /** Takes the next place, and with it the addresses, before anything is awaited. */
  #reserve(spec: WorkloadSpec): number {
    const { run, names } = this.context.state;
    const netns = workloadNetns(run, this.name, spec);
    const taken = [
      wanNetns(run),
      ...names.map((name) => gatewayNetns(run, name)),
      ...this.#fleet().flatMap((cluster) =>
        cluster.#state.workloads.flatMap((one) => (one ? [workloadNetns(run, cluster.name, one)] : [])),
      ),
    ];
    if (taken.includes(netns)) {
      throw new UserError(`two things of this lab would both be called ${netns}`, {
        where: `workload ${keyOf(spec)} in cluster ${this.name}`,
        remedy: 'rename the cluster or the workload',
      });
    }
    checkSocketPath(this.context, { cluster: this.name, workload: spec });
    workloadAddresses(this.ranges.pods, this.#state.workloads.length);
    return this.#state.workloads.push(spec) - 1;
  }

  async #build(spec: WorkloadSpec, order: number): Promise<void> {
    const { run, plan, families } = this.context.state;
    const netns = workloadNetns(run, this.name, spec);
    await this.context.ledger.add({
      description: `network namespace ${netns}`,
      undo: { kind: 'delete-netns', name: netns },
    });
    const script = renderWorkload({
      key: keyOf(spec),
      netns,
      gatewayNetns: this.gateway.netns,
      order,
      families,
      addresses: workloadAddresses(this.ranges.pods, order),
      gatewayAddresses: gatewayAddresses(plan, families, this.name).pods,
    });
    await this.context.limit(() => runScript(script, this.context.signal));
  }

  #workload(spec: WorkloadSpec, order: number, probe: Workload['probe']): Workload {
    return {
      cluster: this.name,
      spec,
      addresses: workloadAddresses(this.ranges.pods, order),
      probe,
      shell: `ip netns exec ${workloadNetns(this.context.state.run, this.name, spec)}`,
    };
  }

  /** Tells policies of all clusters and the own service controller of a workload that they may concern. */
  async #announce({ cluster, spec, addresses }: Workload): Promise<void> {
    const member = { cluster, namespace: spec.namespace, labels: spec.labels, addresses };
    const isBackend = this.#state.services.some(
      (service) => service.namespace === spec.namespace && selects(service.selector, spec.labels),
    );
    await Promise.all([
      ...this.#fleet().map(({ policies }) => policies.admit(member)),
      ...(isBackend ? [this.controller.follow()] : []),
    ]);
  }

  async exposeService(spec: ServiceSpec): Promise<void> {
    serviceOrder(this.context.state, spec);
    const others = this.#state.services.filter((one) => keyOf(one) !== keyOf(spec));
    this.#state.services = [...others, spec];
    await Promise.all([this.controller.follow(), this.context.save()]);
  }

  async share(intent: ShareServiceIntent): Promise<void> {
    this.#state.shares = withShare(this.#state.shares, intent);
    await this.#followEverywhere();
  }

  async unshare(intent: ShareServiceIntent): Promise<void> {
    this.#state.shares = withoutShare(this.#state.shares, intent);
    await this.#followEverywhere();
  }

  /** A shared service has a name in every cluster, also in those that have no such service themselves. */
  async #followEverywhere(): Promise<void> {
    await Promise.all([...this.#fleet().map(({ controller }) => controller.follow()), this.context.save()]);
  }

  serviceAddress(service: ServiceKey): SharedAddress {
    return localAddress(this.context.state, this.name, service);
  }

  sharedAddress(service: ServiceKey): SharedAddress {
    return sharedAddress(this.context.state, this.name, service);
  }

  /** Connects to the agents that a kept run left. @throws UserError naming the one that is gone */
  async reconnect(): Promise<void> {
    await Promise.all(
      this.#state.workloads.map(async (spec, order) => {
        if (!spec) return;
        const probe = await findAgent(this.context, { cluster: this.name, workload: spec });
        if (!probe) {
          throw new UserError(`the probe agent of ${this.name}/${keyOf(spec)} no longer runs`, {
            where: `run ${this.context.state.run}`,
            remedy: `remove the rest with \`mcnet-conformance clean ${this.context.state.run}\` and run again`,
          });
        }
        this.#running.set(order, this.#workload(spec, order, probe));
      }),
    );
  }

  diagnose(): Promise<Readonly<Record<string, string>>> {
    return diagnoseCluster(this.gateway, this.workloads);
  }
}

/**
 * Runs a rendered script; any line of it that fails ends it. One that has begun is never cut short: what its programs
 * still made could not be seen by a clean-up that had already begun.
 */
export async function runScript(script: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await runCommand(['sh', '-e', '-s'], { input: script });
}
