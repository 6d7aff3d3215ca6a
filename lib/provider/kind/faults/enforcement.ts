/** Policies that stand, and that the CNI does not heed any more. */
import { NotApplicableError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { type FaultOf, type Injection, clusterOf } from '../../../model/injection.ts';
import { within } from '../../../system/clock.ts';
import { type Command, runCommand } from '../../../system/commands.ts';
import { asKubernetesCluster } from '../../kubernetes/index.ts';
import { insideContainer } from '../docker.ts';
import { controlPlaneName } from '../names.ts';

const NAMESPACE = 'kube-system';
const AGENTS = 'k8s-app=cilium';
/** Cilium writes the rules of every endpoint anew. */
const ENFORCED_MS = 20_000;

interface Endpoint {
  readonly status?: { readonly policy?: { readonly realized?: { readonly 'policy-enabled'?: string } } };
}

/** Cilium alone can be told so while it runs: https://docs.cilium.io/en/stable/security/policy/intro/#policy-enforcement-modes */
export async function ignorePolicies({
  fault,
  fleet,
  ledger,
}: Injection<FaultOf<'policy-ignored'>>): Promise<Disturbance> {
  const cluster = asKubernetesCluster(clusterOf(fleet, fault.cluster));
  const agents = await cluster.objects.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: NAMESPACE,
    labelSelector: AGENTS,
  });
  if (agents.length === 0) throw new NotApplicableError(`the CNI of ${cluster.name} is not Cilium`);
  // By the node's own kubectl, so that a later process can do it without this program's connections.
  const inAgent = (name: string, ...words: readonly string[]): Command =>
    insideContainer(controlPlaneName(fleet.run, cluster.name), [
      'kubectl',
      '--kubeconfig=/etc/kubernetes/admin.conf',
      ...['exec', '--namespace', NAMESPACE, name, '--container=cilium-agent', '--', 'cilium-dbg', ...words],
    ]);
  const names = agents.map(({ metadata: { name } }) => name);
  const enforce = (name: string, mode: 'default' | 'never') =>
    inAgent(name, 'config', `PolicyEnforcement=${mode}`);
  for (const name of names) {
    await ledger.add({
      description: `fault ${JSON.stringify(fault)} at ${cluster.name}/${name}`,
      undo: { kind: 'run', command: enforce(name, 'default') },
    });
  }
  await Promise.all(names.map((name) => runCommand(enforce(name, 'never'))));
  const modes = async (): Promise<readonly (string | undefined)[]> => {
    const shown = await Promise.all(
      names.map((name) => runCommand(inAgent(name, 'endpoint', 'list', '--output=json'))),
    );
    return shown
      .flatMap((text) => JSON.parse(text || '[]') as Endpoint[])
      .map(({ status }) => status?.policy?.realized?.['policy-enabled']);
  };
  return {
    tookHold: () =>
      within(ENFORCED_MS, async () => {
        const seen = await modes();
        return seen.length > 0 && seen.every((mode) => mode === 'none');
      }),
    async mend() {
      await Promise.all(names.map((name) => runCommand(enforce(name, 'default'))));
    },
  };
}
