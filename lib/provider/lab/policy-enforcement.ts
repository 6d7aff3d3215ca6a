/** The policy tables in one cluster's gateway. */
import type { PolicyIntent } from '../../model/intent.ts';
import { CommandError } from '../../system/commands.ts';
import { rangesInUse } from '../ranges.ts';
import { workloadAddresses } from './addresses.ts';
import { shared } from '../concurrency.ts';
import type { LabContext } from './context.ts';
import { gatewayNetns } from './names.ts';
import { applyNft, runInNetns } from './namespace.ts';
import {
  type PolicyMember,
  type PolicyTable,
  enforces,
  renderLateMember,
  renderTable,
  tableName,
} from './policy.ts';
import { type FleetState, clusterState, withPolicy, withoutPolicy } from './state.ts';

type TableKey = Pick<PolicyTable, 'namespace' | 'direction'>;

export class PolicyEnforcement {
  readonly #context: LabContext;
  readonly #cluster: string;
  readonly #netns: string;
  readonly #replacements = new Map<string, () => Promise<void>>();
  /** While it is set, policies are accepted and have no effect. */
  ignored = false;

  constructor(context: LabContext, cluster: string) {
    this.#context = context;
    this.#cluster = cluster;
    this.#netns = gatewayNetns(context.state.run, cluster);
  }

  /** @returns the table as it was rendered */
  async add(intent: PolicyIntent): Promise<string> {
    const state = clusterState(this.#context.state, this.#cluster);
    state.policies = withPolicy(state.policies, intent);
    const rendered = this.#render(this.#table(intent));
    await Promise.all([this.#replace(intent), this.#context.save()]);
    return rendered;
  }

  async remove(intent: PolicyIntent): Promise<void> {
    const state = clusterState(this.#context.state, this.#cluster);
    state.policies = withoutPolicy(state.policies, intent);
    await Promise.all([this.#replace(intent), this.#context.save()]);
  }

  /** Whether the kernel has the table with all its rules. */
  async isInForce(key: TableKey): Promise<boolean> {
    const listing = await this.#unlessGone(['nft', 'list', 'table', 'inet', tableName(key)]);
    return listing !== undefined && enforces(listing, this.#table(key));
  }

  /** Tables whose intents stand, whether or not the kernel still has them. */
  get tables(): readonly PolicyTable[] {
    const { policies } = clusterState(this.#context.state, this.#cluster);
    const first = policies.filter(
      (one, index) => index === policies.findIndex((other) => tableName(other) === tableName(one)),
    );
    return first.map((intent) => this.#table(intent));
  }

  /** Writes these tables anew, from the intents that stand by now. */
  async restore(tables: readonly TableKey[]): Promise<void> {
    await Promise.all(tables.map((table) => this.#replace(table)));
  }

  /** Lets a workload of any cluster that came later into the tables that mean it; a table that was removed by hand stays so. */
  async admit(member: PolicyMember): Promise<void> {
    const additions = this.tables.map((table) => renderLateMember(table, member)).filter(Boolean);
    await Promise.all(additions.map((input) => this.#unlessGone(['nft', '-f', '-'], input)));
  }

  /** Concurrent changes of one table are one replacement of it. */
  #replace(key: TableKey): Promise<void> {
    const name = tableName(key);
    const replacement =
      this.#replacements.get(name) ?? shared(() => applyNft(this.#netns, this.#render(this.#table(key))));
    this.#replacements.set(name, replacement);
    return replacement();
  }

  #render(table: PolicyTable): string {
    return renderTable(table, membersOf(this.#context.state), this.ignored);
  }

  #table({ namespace, direction }: TableKey): PolicyTable {
    const { families } = this.#context.state;
    const intents = clusterState(this.#context.state, this.#cluster).policies.filter(
      (intent) => intent.namespace === namespace && intent.direction === direction,
    );
    return { cluster: this.#cluster, namespace, direction, intents, families };
  }

  /** Output of nft; undefined when it speaks of a table that is not there. */
  async #unlessGone(command: readonly [string, ...string[]], input = ''): Promise<string | undefined> {
    try {
      return await runInNetns(this.#netns, command, { input });
    } catch (error) {
      if (error instanceof CommandError && error.output.includes('No such file or directory'))
        return undefined;
      throw error;
    }
  }
}

/** Every workload of the fleet, those still starting included. */
function membersOf(state: FleetState): PolicyMember[] {
  return state.names.flatMap((cluster) => {
    const { pods } = rangesInUse(state.plan, state.families, cluster);
    return clusterState(state, cluster).workloads.flatMap((spec, order) =>
      spec
        ? [
            {
              cluster,
              namespace: spec.namespace,
              labels: spec.labels,
              addresses: workloadAddresses(pods, order),
            },
          ]
        : [],
    );
  });
}
