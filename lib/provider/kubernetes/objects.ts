/** The objects of one cluster, through its API server. */
import type { KubernetesObject, KubernetesObjects, ObjectReference } from '../../model/cluster.ts';
import { FIELD_MANAGER } from '../../model/mending.ts';
import { type KubernetesClient, rootOf } from '../../system/kubernetes/client.ts';
import {
  applyObject,
  deleteObject,
  describe,
  namespacePath,
  pathOf,
} from '../../system/kubernetes/objects.ts';
import { inCluster, isFailure } from './errors.ts';
import { runLabels } from './names.ts';

/** Objects a page; the API server answers large lists in parts. */
const PAGE = 500;

export class ClusterObjects implements KubernetesObjects {
  readonly #cluster: string;
  readonly #run: string;
  readonly #client: KubernetesClient;

  constructor(cluster: string, run: string, client: KubernetesClient) {
    this.#cluster = cluster;
    this.#run = run;
    this.#client = client;
  }

  async apply(objects: readonly KubernetesObject[]): Promise<void> {
    for (const object of objects) await this.applyOne(object);
  }

  /** @returns the object as it now is */
  applyOne(object: KubernetesObject): Promise<KubernetesObject> {
    const labels = { ...object.metadata.labels, ...runLabels(this.#run) };
    const labelled = { ...object, metadata: { ...object.metadata, labels } };
    return inCluster(
      this.#cluster,
      async () => (await applyObject(this.#client, labelled, FIELD_MANAGER)) as KubernetesObject,
    );
  }

  async read(reference: ObjectReference): Promise<KubernetesObject | undefined> {
    try {
      return await inCluster(this.#cluster, async () => {
        const answer = await this.#client.json({
          what: `read ${describe(reference)}`,
          method: 'GET',
          path: await pathOf(this.#client, reference),
        });
        return answer as KubernetesObject;
      });
    } catch (error) {
      if (isFailure(error, 'not-found')) return undefined;
      throw error;
    }
  }

  list(query: Parameters<KubernetesObjects['list']>[0]): Promise<readonly KubernetesObject[]> {
    const { apiVersion, kind, namespace, labelSelector } = query;
    return inCluster(this.#cluster, async () => {
      const { name } = await this.#client.resource(apiVersion, kind);
      const path = `${rootOf(apiVersion)}${namespacePath(namespace)}/${name}`;
      const found: KubernetesObject[] = [];
      let more = '';
      do {
        const page = (await this.#client.json({
          what: `list ${name}${namespace === undefined ? '' : ` of ${namespace}`}`,
          method: 'GET',
          path,
          query: {
            limit: String(PAGE),
            ...(labelSelector !== undefined && { labelSelector }),
            ...(more !== '' && { continue: more }),
          },
        })) as { items?: KubernetesObject[]; metadata?: { continue?: string } };
        // What is in a list does not say what it is.
        for (const item of page.items ?? []) found.push({ ...item, apiVersion, kind });
        more = page.metadata?.continue ?? '';
      } while (more !== '');
      return found;
    });
  }

  async delete(references: readonly ObjectReference[]): Promise<void> {
    for (const reference of references) await this.deleteOne(reference);
  }

  /** @param graceSeconds what a pod may take to end; default what it asks for itself */
  deleteOne(reference: ObjectReference, graceSeconds?: number): Promise<void> {
    return inCluster(this.#cluster, () => deleteObject(this.#client, reference, graceSeconds));
  }

  exec(
    pod: Parameters<KubernetesObjects['exec']>[0],
    command: readonly [string, ...string[]],
    { often = false, ...options }: Parameters<KubernetesObjects['exec']>[2] = {},
  ): Promise<string> {
    return inCluster(this.#cluster, () =>
      often ? this.#client.execInShell(pod, command, options) : this.#client.exec(pod, command, options),
    );
  }

  ask(
    pod: Parameters<KubernetesObjects['ask']>[0],
    request: Parameters<KubernetesObjects['ask']>[1],
  ): ReturnType<KubernetesObjects['ask']> {
    const what = `${request.method} ${request.path} at pod ${pod.namespace}/${pod.name}`;
    return inCluster(this.#cluster, () => this.#client.askPod(pod, { what, ...request }));
  }

  log(
    { namespace, name, container }: Parameters<KubernetesObjects['log']>[0],
    { lines = 200 }: { readonly lines?: number } = {},
  ): Promise<string> {
    return inCluster(this.#cluster, () =>
      this.#client.text({
        what: `read the log of pod ${namespace}/${name}`,
        method: 'GET',
        path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/log`,
        query: { tailLines: String(lines), ...(container !== undefined && { container }) },
      }),
    );
  }
}
