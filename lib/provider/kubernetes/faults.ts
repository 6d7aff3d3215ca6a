/** Faults by objects in namespaces of the run: they work in every cluster with an API server, and touch nothing else. */
import type { FaultInjector, Fleet, KubernetesObject, Ledger, Workload } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { Disturbance, FaultSpec } from '../../model/fault.ts';
import { type FaultOf, type Injection, clusterOf, injectorOf } from '../../model/injection.ts';
import { prepareRestoring } from '../../model/mending.ts';
import { PORTS } from '../../model/workload.ts';
import { within } from '../../system/clock.ts';
import type { KubernetesClusterHandle } from './cluster.ts';
import { asKubernetesCluster } from './handlers.ts';
import { APPLICATION, LABELS } from './names.ts';
import { NETWORK_POLICY } from './policy.ts';

/** A CNI notices a policy within a second or two; one that enforces none never does. */
const ENFORCED_MS = 15_000;
const LOOK_MS = 500;
const CALL_MS = 1_000;

const kubernetesClusterOf = (fleet: Fleet, name: string): KubernetesClusterHandle =>
  asKubernetesCluster(clusterOf(fleet, name));

const policy = (
  name: string,
  namespace: string,
  run: string,
  ingress: readonly unknown[],
): KubernetesObject => ({
  ...NETWORK_POLICY,
  metadata: { name, namespace, labels: { [LABELS.managedBy]: APPLICATION, [LABELS.run]: run } },
  spec: { podSelector: {}, policyTypes: ['Ingress'], ingress },
});

interface Change {
  readonly cluster: KubernetesClusterHandle;
  readonly fault: FaultSpec;
  readonly ledger: Ledger;
  readonly remove: readonly KubernetesObject[];
  readonly add: readonly KubernetesObject[];
}

/** Noted before it is made. @returns how to take it back */
async function change({ cluster, fault, ledger, remove, add }: Change): Promise<() => Promise<void>> {
  const restore = await prepareRestoring(cluster, fault, { before: remove, added: add }, ledger);
  await cluster.objects.apply(add);
  await cluster.objects.delete(remove);
  let mended = false;
  return async () => {
    if (mended) return;
    await restore();
    mended = true;
  };
}

async function flush({ fault, fleet, ledger }: Injection<FaultOf<'policy-flushed'>>): Promise<Disturbance> {
  const cluster = kubernetesClusterOf(fleet, fault.cluster);
  const standing = await cluster.policies();
  const mend = await change({ cluster, fault, ledger, remove: standing, add: [] });
  return {
    tookHold: async () => standing.length > 0 && (await cluster.policies()).length === 0,
    mend,
  };
}

/** Policies add up, so the deny alone would refuse nothing that another one allows. */
async function deny({ fault, fleet, ledger }: Injection<FaultOf<'policy-added'>>): Promise<Disturbance> {
  const cluster = kubernetesClusterOf(fleet, fault.cluster);
  const namespace = cluster.namespaceOf(fault.namespace);
  const standing = (await cluster.policies(namespace)).filter(governsIngress);
  const add = [policy(`${APPLICATION}-deny`, namespace, fleet.run, [])];
  const mend = await change({ cluster, fault, ledger, remove: standing, add });
  return { tookHold: () => isRefused(fleet, cluster, fault.namespace), mend };
}

async function loosen({ fault, fleet, ledger }: Injection<FaultOf<'policy-loosened'>>): Promise<Disturbance> {
  const cluster = kubernetesClusterOf(fleet, fault.cluster);
  const namespace = cluster.namespaceOf(fault.namespace);
  const add = [policy(`${APPLICATION}-allow`, namespace, fleet.run, [{}])];
  const mend = await change({ cluster, fault, ledger, remove: [], add });
  return {
    tookHold: async () => {
      const present = await Promise.all(add.map((object) => cluster.objects.read(object)));
      return !present.includes(undefined);
    },
    mend,
  };
}

/** By what NetworkPolicy says of itself; others, by the rules that they have. */
function governsIngress(object: KubernetesObject): boolean {
  const spec = (object['spec'] ?? {}) as { readonly policyTypes?: readonly string[] };
  return object.kind === NETWORK_POLICY.kind
    ? (spec.policyTypes ?? ['Ingress']).includes('Ingress')
    : 'ingress' in spec;
}

/** Whether calls of somebody outside to this namespace are refused, soon. */
async function isRefused(
  fleet: Fleet,
  cluster: KubernetesClusterHandle,
  namespace: string,
): Promise<boolean> {
  const target = cluster.workloads.find(({ spec }) => spec.namespace === namespace);
  const caller = fleet.clusters
    .flatMap(({ workloads }) => workloads)
    .find(({ spec }) => spec.namespace !== namespace);
  if (!target || !caller) {
    throw new InternalError(`namespace ${namespace} of ${cluster.name} has no workload to refuse`);
  }
  return within(ENFORCED_MS, async () => !(await isAnswered(caller, target)), LOOK_MS);
}

async function isAnswered(caller: Workload, target: Workload): Promise<boolean> {
  const { ipv4, ipv6 } = target.addresses;
  const address = ipv4 ?? ipv6 ?? '';
  const exchanges = await caller.probe.exchange([
    { protocol: 'tcp', address, port: PORTS.echo, timeoutMs: CALL_MS },
  ]);
  return exchanges.some(({ outcome }) => outcome === 'answered');
}

export const kubernetesInjectors: readonly FaultInjector[] = [
  injectorOf('policy-flushed', flush),
  injectorOf('policy-added', deny),
  injectorOf('policy-loosened', loosen),
];
