/** Questions that a workload's proxies answer themselves, on the administration interface of Envoy. */
import type { Cluster, KubernetesCluster, Workload } from '../../model/cluster.ts';
import { isReady } from '../common/clusters.ts';
import { CERTIFICATE, HANDSHAKE_STATISTICS, handshakesIn } from '../common/envoy.ts';
import { asKubernetes } from './clusters.ts';
import { podsOf } from './server.ts';
import { GATEWAY, GATEWAY_CONTAINER, PROXY_PORTS, REGISTRAR, SYSTEM_NAMESPACE } from './names.ts';

/** Proxies are asked again and again, until they know what they should. */
const OFTEN = { timeoutMs: 20_000, often: true };

/** @param index of the service among those of the workload: by the first it is known itself */
export function askProxy(workload: Workload, cluster: Cluster, path: string, index = 0): Promise<string> {
  const kubernetes = asKubernetes(cluster);
  const { namespace, name } = workload.spec;
  return kubernetes.objects.exec(
    { namespace: kubernetes.namespaceOf(namespace), name, container: REGISTRAR },
    ['curl', '-sS', '--fail', '-m', '10', `http://127.0.0.1:${PROXY_PORTS.admin + index}/${path}`],
    OFTEN,
  );
}

export const LISTENERS = 'config_dump?resource=dynamic_listeners';

/** What trusted authorities stand under: of the own trust domain, and of each that belongs to a peer. */
const AUTHORITY_KEYS = new Set(['trusted_ca', 'trust_bundle']);

/** What a proxy shows stands under: its own certificate, and those between it and the root. */
const CHAIN_KEYS = new Set(['certificate_chain']);

/** Chains of PEM certificates under these keys, anywhere in a dump of Envoy's configuration. */
function chainsUnder(keys: ReadonlySet<string>, dump: string): string[][] {
  const found: string[][] = [];
  const walk = (value: unknown, wanted: boolean): void => {
    if (typeof value === 'string') {
      if (wanted) found.push([...value.matchAll(CERTIFICATE)].map(([certificate]) => certificate));
    } else if (Array.isArray(value)) {
      for (const one of value) walk(one, wanted);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, one] of Object.entries(value)) {
        const text =
          key === 'inline_bytes' && typeof one === 'string'
            ? Buffer.from(one, 'base64').toString('utf8')
            : one;
        walk(text, wanted || keys.has(key));
      }
    }
  };
  walk(JSON.parse(dump), false);
  return found;
}

/** Certificates of authorities, each once. Pure. */
export const authoritiesIn = (dump: string): string[] => [
  ...new Set(chainsUnder(AUTHORITY_KEYS, dump).flat()),
];

/** Certificates that a proxy shows, without those above them, each once. Pure. */
export const leavesIn = (dump: string): string[] => [
  ...new Set(chainsUnder(CHAIN_KEYS, dump).flatMap((chain) => chain.slice(0, 1))),
];

export const shownLeaves = async (workload: Workload, cluster: Cluster): Promise<readonly string[]> =>
  leavesIn(await askProxy(workload, cluster, LISTENERS));

export async function trustBundle(workload: Workload, cluster: Cluster): Promise<readonly string[]> {
  const dumps = await Promise.all(
    ['dynamic_active_clusters', 'dynamic_listeners'].map((resource) =>
      askProxy(workload, cluster, `config_dump?resource=${resource}`),
    ),
  );
  return [...new Set(dumps.flatMap(authoritiesIn))];
}

export async function handshakes(
  workload: Workload,
  cluster: Cluster,
): Promise<Readonly<Record<string, number>>> {
  return handshakesIn(await askProxy(workload, cluster, HANDSHAKE_STATISTICS));
}

export async function proxyVersion(workload: Workload, cluster: Cluster): Promise<string> {
  const { version = '' } = JSON.parse(await askProxy(workload, cluster, 'server_info')) as {
    version?: string;
  };
  // `<commit>/1.24.12/Clean/RELEASE/BoringSSL`
  return version.split('/')[1] ?? version;
}

/** Endpoints of all clusters of a proxy, as far as they are of peers. */
const PEERS_ENDPOINTS = `curl -sS --fail -m 10 http://127.0.0.1:${PROXY_PORTS.admin}/clusters | grep -F .external. | grep -F ::health_flags:: || true`;

export function endpointsOfPeers({ spec }: Workload, cluster: Cluster): Promise<string> {
  const kubernetes = asKubernetes(cluster);
  return kubernetes.objects.exec(
    { namespace: kubernetes.namespaceOf(spec.namespace), name: spec.name, container: REGISTRAR },
    ['sh', '-c', PEERS_ENDPOINTS],
    OFTEN,
  );
}

/** Whether a proxy has an endpoint of this peer's service, whatever it thinks of its health. Pure. */
export const knowsService = (endpoints: string, service: string, peer: string): boolean =>
  endpoints.includes(`~${service}.default.${peer}.external.`);

/** Names that a gateway's listener takes connections for, of services that peers call; its image has nothing but a shell. */
const TAKEN_NAMES = [
  `exec 3<> /dev/tcp/127.0.0.1/${PROXY_PORTS.admin}`,
  String.raw`printf 'GET /config_dump?resource=dynamic_listeners HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n' >&3`,
  String.raw`grep -oE '"[^"]+\.external\.[^"]+"' <&3 | sort -u || true`,
].join('\n');

/** Undefined where no gateway is ready. */
export async function namesTaken(cluster: KubernetesCluster): Promise<string | undefined> {
  const pod = (await podsOf(cluster, GATEWAY)).find(isReady);
  return (
    pod &&
    cluster.objects.exec(
      { namespace: SYSTEM_NAMESPACE, name: pod.metadata.name, container: GATEWAY_CONTAINER },
      ['bash', '-c', TAKEN_NAMES],
      OFTEN,
    )
  );
}

/** Whether a gateway that takes these names lets a peer call a service of its cluster. Pure. */
export const takesFor = (names: string, service: string, peer: string): boolean =>
  names.includes(`"${service}.default.default.${peer}.external.`);

export const endpointsOf = (workload: Workload, cluster: Cluster): Promise<string> =>
  askProxy(workload, cluster, 'clusters');
