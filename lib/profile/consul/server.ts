/** The server of a cluster, asked inside its own pod by its HTTP interface. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { ConfigEntry } from './entries.ts';
import { isReady } from '../common/clusters.ts';
import { SERVER, SERVER_CONTAINER, SERVER_PORTS, SYSTEM_NAMESPACE } from './names.ts';

const QUESTION_LIMIT_MS = 30_000;

export interface Request {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Each request is a line of three words; each answer ends with its status on a line of its own. */
const SCRIPT = [
  "while IFS=' ' read -r method path body; do",
  `  printf %s "$body" | curl -sS -m 10 -X "$method" --data-binary @- -w '\\n@@%{http_code}\\n' "http://127.0.0.1:${SERVER_PORTS.http}$path"`,
  'done',
].join('\n');

/** Pure. */
export const linesOf = (requests: readonly Request[]): string =>
  requests
    .map(({ method, path, body }) => `${method} ${path} ${body === undefined ? '' : JSON.stringify(body)}\n`)
    .join('');

/** Pure. */
export const answersIn = (text: string): Answer[] =>
  [...text.matchAll(/([\s\S]*?)\n@@(\d{3})\n/g)].map(([, body = '', status]) => ({
    status: Number(status),
    body,
  }));

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
  const said = await cluster.objects.exec(
    { namespace: SYSTEM_NAMESPACE, name: pod.metadata.name, container: SERVER_CONTAINER },
    ['sh', '-c', SCRIPT],
    { input: linesOf(requests), timeoutMs: QUESTION_LIMIT_MS },
  );
  return answersIn(said);
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
