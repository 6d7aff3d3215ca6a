/** Objects by what they are, wherever they belong in the API's paths. */
import { KubernetesClient, rootOf } from './client.ts';
import { KubernetesError } from './errors.ts';

export interface Reference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** `Pod mcnet/client`. */
export function describe({ kind, metadata }: Reference): string {
  return `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;
}

export const namespacePath = (namespace: string | undefined): string =>
  namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;

/** @throws KubernetesError for a kind that the cluster does not know, or one that lacks its namespace */
export async function pathOf(client: KubernetesClient, reference: Reference): Promise<string> {
  const { apiVersion, kind, metadata } = reference;
  const { name, namespaced } = await client.resource(apiVersion, kind);
  if (namespaced && metadata.namespace === undefined) {
    throw new KubernetesError('refused', `${describe(reference)} must be in a namespace`);
  }
  const place = namespacePath(namespaced ? metadata.namespace : undefined);
  return `${rootOf(apiVersion)}${place}/${name}/${encodeURIComponent(metadata.name)}`;
}

/** Server-side apply; takes over fields that others manage. @returns the object as it now is */
export async function applyObject(
  client: KubernetesClient,
  object: Reference,
  fieldManager: string,
): Promise<unknown> {
  return client.json({
    what: `apply ${describe(object)}`,
    method: 'PATCH',
    path: await pathOf(client, object),
    query: { fieldManager, force: 'true' },
    contentType: 'application/apply-patch+yaml',
    body: object,
  });
}

/** No error when it is gone. @param graceSeconds what a pod may take to end; default what it asks for itself */
export async function deleteObject(
  client: KubernetesClient,
  reference: Reference,
  graceSeconds?: number,
): Promise<void> {
  try {
    await client.json({
      what: `delete ${describe(reference)}`,
      method: 'DELETE',
      path: await pathOf(client, reference),
      query: {
        propagationPolicy: 'Background',
        ...(graceSeconds !== undefined && { gracePeriodSeconds: String(graceSeconds) }),
      },
    });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

const isGone = (error: unknown): boolean => error instanceof KubernetesError && error.failure === 'not-found';

/** How a change of objects is taken back. */
export interface Restoration {
  readonly kubeconfig: string;
  readonly context: string;
  readonly fieldManager: string;
  readonly apply: readonly Reference[];
  readonly remove: readonly Reference[];
}

/** Where a namespace is gone there is nothing left to restore in it. */
export async function restoreObjects(restoration: Restoration): Promise<void> {
  const { kubeconfig, context, fieldManager, apply, remove } = restoration;
  const client = new KubernetesClient({ kubeconfig, context });
  for (const reference of remove) await deleteObject(client, reference);
  for (const object of apply) {
    try {
      await applyObject(client, object, fieldManager);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}
