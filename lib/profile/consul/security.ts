/** Mutual TLS and policies by identity. */
import type { AppliedIntent, IntentHandler, KubernetesCluster, Workload } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { IdentityPolicyIntent, Intent, MutualTlsIntent } from '../../model/intent.ts';
import { selects } from '../../model/workload.ts';
import { type Peers, asKubernetes } from './clusters.ts';
import { type ConfigEntry, intentions } from './entries.ts';
import { REGISTRAR, identityName, servicesOf } from './names.ts';
import { LISTENERS, askProxy } from './proxies.ts';
import { deleteEntry, putEntry, tell } from './server.ts';
import { GUARDED_PORTS, INBOUND_CHAIN } from './sidecars.ts';

type Governing = Pick<MutualTlsIntent | IdentityPolicyIntent, 'namespace' | 'target'>;

/** Workloads with proxies that an intent is about. */
export const governed = (cluster: KubernetesCluster, { namespace, target }: Governing): readonly Workload[] =>
  cluster.workloads.filter(
    ({ spec }) => spec.namespace === namespace && servicesOf(spec).length > 0 && selects(target, spec.labels),
  );

/** The rule by which connections from outside get past the proxy. @param chain that it stands in */
export const pastRule = (chain: string): string =>
  `${chain} -p tcp -m multiport --dports ${GUARDED_PORTS} -j RETURN`;

/** Lets connections from outside by the proxy, or no longer. May be repeated. */
export async function letPast(
  cluster: KubernetesCluster,
  { spec }: Workload,
  open: boolean,
  chain: string = INBOUND_CHAIN,
): Promise<void> {
  const rule = pastRule(chain);
  const has = `iptables -w -t nat -C ${rule} 2> /dev/null`;
  await cluster.objects.exec(
    { namespace: cluster.namespaceOf(spec.namespace), name: spec.name, container: REGISTRAR },
    [
      'sh',
      '-ec',
      open ? `${has} || iptables -w -t nat -I ${rule}` : `! ${has} || iptables -w -t nat -D ${rule}`,
    ],
    { often: true },
  );
}

const supportsKind =
  (name: string, kind: Intent['kind']): IntentHandler['supports'] =>
  (intent) =>
    intent.kind === kind || `${name} knows no intent of kind ${intent.kind}`;

/** Proxies take nothing else from outside; what may come in clear text goes past them. */
export function mutualTlsHandler(): IntentHandler {
  const name = 'consul-mutual-tls';
  return {
    name,
    supports: supportsKind(name, 'mutual-tls'),
    async apply(intent, where): Promise<AppliedIntent> {
      if (intent.kind !== 'mutual-tls') throw new InternalError(`${name} was given ${intent.kind}`);
      const cluster = asKubernetes(where);
      const open = intent.mode === 'accepted';
      const workloads = governed(cluster, intent);
      const letAll = (past: boolean) =>
        Promise.all(workloads.map((workload) => letPast(cluster, workload, past)));
      await letAll(open);
      return {
        rendered: `${open ? 'past' : 'through'} the proxies: ${workloads.map(({ spec }) => spec.name).join(', ')}`,
        settled: async () => true,
        undo: async () => void (await letAll(false)),
      };
    },
  };
}

/** Services of Consul whose intentions an identity policy is. */
export const destinationsOf = (cluster: KubernetesCluster, intent: Governing): string[] => [
  ...new Set(governed(cluster, intent).flatMap(({ spec }) => servicesOf(spec))),
];

/** Whether a proxy whose listeners are these refuses by identity, and knows everyone whom the policy names. Pure. */
export const enforces = (listeners: string, { allow }: Pick<IdentityPolicyIntent, 'allow'>): boolean =>
  listeners.includes('envoy.filters.http.rbac') || listeners.includes('envoy.filters.network.rbac')
    ? allow.every(({ namespace, serviceAccount = '' }) =>
        listeners.includes(`/svc/${identityName({ name: serviceAccount }, namespace)}`),
      )
    : false;

export function identityPolicyHandler(peers: Peers): IntentHandler {
  const name = 'consul-intentions';
  return {
    name,
    identityRefusal: 'proxy',
    supports: (intent) => {
      if (intent.kind !== 'identity-policy') return `${name} knows no intent of kind ${intent.kind}`;
      return intent.allow.every(({ serviceAccount }) => serviceAccount !== undefined)
        ? true
        : `${name}: identities do not say of which Kubernetes namespace they are`;
    },
    async apply(intent, where): Promise<AppliedIntent> {
      if (intent.kind !== 'identity-policy') throw new InternalError(`${name} was given ${intent.kind}`);
      const cluster = asKubernetes(where);
      const place = { cluster: cluster.name, peers: peers.of(cluster.name) };
      const entries: ConfigEntry[] = destinationsOf(cluster, intent).map((destination) =>
        intentions(intent, destination, place),
      );
      await tell(cluster, entries.map(putEntry));
      return {
        rendered: JSON.stringify(entries),
        // The server has it at once; what refuses is the proxy of each service.
        settled: async () => {
          const enforced = await Promise.all(
            governed(cluster, intent).flatMap((workload) =>
              servicesOf(workload.spec).map(async (_, index) =>
                enforces(await askProxy(workload, cluster, LISTENERS, index), intent),
              ),
            ),
          );
          return enforced.every(Boolean);
        },
        undo: async () => void (await tell(cluster, entries.map(deleteEntry))),
      };
    },
  };
}
