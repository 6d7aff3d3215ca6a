/** Questions that a workload's proxy answers itself. */
import type { Cluster, Workload } from '../../model/cluster.ts';
import { CERTIFICATE, HANDSHAKE_STATISTICS, handshakesIn } from '../common/envoy.ts';
import { asKubernetes } from './clusters.ts';
import { PROXY_CONTAINER } from './names.ts';

const QUESTION_LIMIT_MS = 10_000;

/** @param path of Envoy's administration interface */
function ask(workload: Workload, cluster: Cluster, path: string): Promise<string> {
  const kubernetes = asKubernetes(cluster);
  const { namespace, name } = workload.spec;
  return kubernetes.objects.exec(
    { namespace: kubernetes.namespaceOf(namespace), name, container: PROXY_CONTAINER },
    ['pilot-agent', 'request', 'GET', path],
    { timeoutMs: QUESTION_LIMIT_MS },
  );
}

/** The certificates of authorities in a dump of secrets; keys of leaves are redacted by Envoy itself. Pure. */
export function authoritiesIn(dump: string): string[] {
  const { configs = [] } = JSON.parse(dump) as {
    configs?: readonly {
      secret?: { validation_context?: { trusted_ca?: { inline_bytes?: string; inline_string?: string } } };
    }[];
  };
  return configs.flatMap(({ secret }) => {
    const trusted = secret?.validation_context?.trusted_ca;
    if (!trusted) return [];
    const text = trusted.inline_string ?? Buffer.from(trusted.inline_bytes ?? '', 'base64').toString('utf8');
    return text.match(CERTIFICATE) ?? [];
  });
}

export async function trustBundle(workload: Workload, cluster: Cluster): Promise<readonly string[]> {
  return authoritiesIn(await ask(workload, cluster, 'config_dump?resource=dynamic_active_secrets'));
}

/** Statistics that Istio's proxies keep only when asked to. */
export const KEPT_STATISTICS = String.raw`listener\..*\.ssl\.(versions|curves)\..*`;

export async function handshakes(
  workload: Workload,
  cluster: Cluster,
): Promise<Readonly<Record<string, number>>> {
  return handshakesIn(await ask(workload, cluster, HANDSHAKE_STATISTICS));
}

export const endpointsOf = (workload: Workload, cluster: Cluster): Promise<string> =>
  ask(workload, cluster, 'clusters');
