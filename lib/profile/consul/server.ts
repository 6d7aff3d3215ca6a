/** The server of a cluster, asked by its HTTP interface. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { ConfigEntry } from './entries.ts';
import { isReady } from '../common/clusters.ts';
import { SERVER, SERVER_PORTS, SYSTEM_NAMESPACE } from './names.ts';

export interface Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export const podsOf = (cluster: KubernetesCluster, app: string): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: SYSTEM_NAMESPACE,
    labelSelector: `app=${app}`,
  });

/** @returns answers in the order of the requests @throws UserError when no server is ready there */
export async function ask(
  cluster: KubernetesCluster,
  requests: readonly Request[],
): Promise<readonly Answer[]> {
  const pod = (await podsOf(cluster, SERVER)).find(isReady);
  if (!pod) {
    throw new UserError(`no server of Consul is ready in ${cluster.name}`, {
      where: `namespace ${SYSTEM_NAMESPACE}`,
      remedy: `Look at its pods: \`kubectl -n ${SYSTEM_NAMESPACE} get pods\``,
    });
  }
  const place = { namespace: SYSTEM_NAMESPACE, name: pod.metadata.name, port: SERVER_PORTS.http };
  const answers: Answer[] = [];
  for (const request of requests) answers.push(await cluster.objects.ask(place, request));
  return answers;
}

/** @throws UserError with the server's own words, which name no secret that was sent */
export async function tell(
  cluster: KubernetesCluster,
  requests: readonly Request[],
): Promise<readonly string[]> {
  if (requests.length === 0) return [];
  const answers = await ask(cluster, requests);
  requests.forEach(({ method, path }, index) => {
    const { status = 0, body = 'no answer' } = answers[index] ?? {};
    if (status >= 200 && status < 300) return;
    throw new UserError(`the server of ${cluster.name} refuses ${method} ${path}: ${status} ${body.trim()}`, {
      where: `cluster ${cluster.name}`,
      remedy: `Read its log: \`kubectl -n ${SYSTEM_NAMESPACE} logs deployment/${SERVER}\``,
    });
  });
  return answers.map(({ body }) => body);
}

export function putEntry(entry: ConfigEntry): Request {
  const { Name: _, ...unnamed } = entry;
  // Of a mesh there is one, and it takes no name.
  return { method: 'PUT', path: '/v1/config', body: entry.Kind === 'mesh' ? unnamed : entry };
}
export const deleteEntry = ({ Kind, Name }: Pick<ConfigEntry, 'Kind' | 'Name'>): Request => ({
  method: 'DELETE',
  path: `/v1/config/${Kind}/${Name}`,
});

/** Undefined when there is none. */
export async function readEntry(
  cluster: KubernetesCluster,
  { Kind, Name }: Pick<ConfigEntry, 'Kind' | 'Name'>,
): Promise<ConfigEntry | undefined> {
  const [answer] = await ask(cluster, [{ method: 'GET', path: `/v1/config/${Kind}/${Name}` }]);
  return answer?.status === 200 ? (JSON.parse(answer.body) as ConfigEntry) : undefined;
}

/** All of a kind. */
export async function readEntries(cluster: KubernetesCluster, Kind: string): Promise<readonly ConfigEntry[]> {
  const [text = '[]'] = await tell(cluster, [{ method: 'GET', path: `/v1/config/${Kind}` }]);
  return (JSON.parse(text) ?? []) as ConfigEntry[];
}

export interface Peering {
  readonly Name: string;
  readonly State: string;
  readonly StreamStatus?: {
    readonly ImportedServices?: readonly string[] | null;
    readonly ExportedServices?: readonly string[] | null;
  };
}

/** What this cluster's server says of its peers. */
export async function peeringsOf(cluster: KubernetesCluster): Promise<readonly Peering[]> {
  const [text = '[]'] = await tell(cluster, [{ method: 'GET', path: '/v1/peerings' }]);
  return (JSON.parse(text) ?? []) as Peering[];
}

export const isActive = ({ State }: Peering): boolean => State === 'ACTIVE';

/** Whether this cluster's server says that it is joined with a peer of this name. */
export const isJoined = async (cluster: KubernetesCluster, name: string): Promise<boolean> =>
  (await peeringsOf(cluster)).some((peering) => peering.Name === name && isActive(peering));
