/** Removes namespaces by label: with each goes everything in it. */
import { systemClock } from '../clock.ts';
import { KubernetesClient } from './client.ts';
import { KubernetesError } from './errors.ts';

export interface LabelledNamespaces {
  readonly kubeconfig: string;
  readonly context: string;
  /** `key=value` */
  readonly label: string;
}

/** Kubernetes ends the pods, then removes what else is there. */
const GONE_MS = 90_000;
const LOOK_MS = 500;

async function find(client: KubernetesClient, label: string): Promise<string[]> {
  const answer = (await client.json({
    what: `list namespaces with ${label}`,
    method: 'GET',
    path: '/api/v1/namespaces',
    query: { labelSelector: label },
  })) as { items?: { metadata: { name: string } }[] };
  return (answer.items ?? []).map(({ metadata }) => metadata.name);
}

export async function namespacesExist({ label, ...where }: LabelledNamespaces): Promise<boolean> {
  return (await find(new KubernetesClient(where), label)).length > 0;
}

/** Resolves when they are gone. @throws KubernetesError */
export async function deleteNamespaces({ label, ...where }: LabelledNamespaces): Promise<void> {
  const client = new KubernetesClient(where);
  const end = systemClock.monotonic() + GONE_MS;
  let left = await find(client, label);
  await Promise.all(
    left.map(async (name) => {
      try {
        await client.json({
          what: `delete namespace ${name}`,
          method: 'DELETE',
          path: `/api/v1/namespaces/${encodeURIComponent(name)}`,
        });
      } catch (error) {
        // One that is leaving already says so by a conflict.
        const leaving = error instanceof KubernetesError && ['not-found', 'conflict'].includes(error.failure);
        if (!leaving) throw error;
      }
    }),
  );
  while (left.length > 0) {
    if (systemClock.monotonic() > end) {
      throw new KubernetesError('timed-out', `still being deleted in ${where.context}: ${left.join(', ')}`);
    }
    await systemClock.sleep(LOOK_MS);
    left = await find(client, label);
  }
}
