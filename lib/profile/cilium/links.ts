/** The chain by which a cluster learns of another's endpoints: each link looked at. */
import type { BrokenLink, KubernetesCluster } from '../../model/cluster.ts';
import { kubectl, missingNamespaces, secretText } from '../common/clusters.ts';
import { lookAtLinks } from '../common/links.ts';
import { apiServerDeployment, remoteClustersSecret } from './configuration.ts';
import { type AgentsSay, type RemoteCluster, anyReady, askAgents } from './agents.ts';
import { AGENT_CONTAINER, AUTHORITY, NAMESPACE, SELECTORS, systemReference } from './names.ts';

/** Every broken link on the way from endpoints of `to` to callers of `from`; the likeliest cause first. */
export async function brokenLinks(
  from: KubernetesCluster,
  to: KubernetesCluster,
): Promise<readonly BrokenLink[]> {
  return lookAtLinks([
    () => apiServerOf(to),
    () => apiServerOf(from),
    () => accessFrom(from, to),
    () => authoritiesOf(from, to),
    () => connectionFrom(from, to),
    () => namespacesOf(from, to),
  ]);
}

async function apiServerOf(cluster: KubernetesCluster): Promise<BrokenLink[]> {
  if (await anyReady(cluster, 'apiServer')) return [];
  return [
    {
      cause: 'control-plane-down',
      what: `no Cluster Mesh API server is ready in ${cluster.name}`,
      command: kubectl(cluster, '-n', NAMESPACE, 'get', 'pods', '-l', SELECTORS.apiServer),
    },
  ];
}

/** Addresses by which a cluster is to be found, from its entry (YAML of the chart). Pure. */
export function addressesIn(entry: string): readonly string[] {
  const endpoints = [...entry.matchAll(/https?:\/\/(?:\[([^\]]+)\]|([^\s:/'"]+))/g)].map(
    ([, ipv6, host]) => ipv6 ?? host ?? '',
  );
  const aliases = [...entry.matchAll(/^\s*-\s*['"]?([0-9a-f.:]+)['"]?\s*$/gim)].map(([, ip]) => ip ?? '');
  return [...new Set([...endpoints, ...aliases])].filter(Boolean);
}

const isLoopback = (address: string): boolean => /^(?:127\.|localhost$|::1$)/.test(address);

async function accessFrom(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const name = remoteClustersSecret(await apiServerDeployment(from));
  const secret = await from.objects.read(systemReference('v1', 'Secret', name));
  const entry = secretText(secret, to.name);
  const command = kubectl(from, '-n', NAMESPACE, 'get', 'secret', name, '-o', 'yaml');
  if (entry === undefined) {
    return [
      {
        cause: 'remote-secret-missing',
        what: `${from.name} has no entry for ${to.name} in ${name}`,
        command,
      },
    ];
  }
  const loopback = addressesIn(entry).find(isLoopback);
  if (loopback === undefined) return [];
  return [
    {
      cause: 'api-server-unreachable',
      what: `${name} of ${from.name} names ${loopback} for ${to.name}, which is no address of ${to.name} but of the pod itself`,
      command,
    },
  ];
}

async function authoritiesOf(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const [here, there] = await Promise.all(
    [from, to].map(async (cluster) =>
      secretText(await cluster.objects.read(systemReference('v1', 'Secret', AUTHORITY)), 'ca.crt')?.trim(),
    ),
  );
  if (here === undefined || there === undefined || here === there) return [];
  return [
    {
      cause: 'foreign-root',
      what: `${from.name} and ${to.name} have different authorities (${AUTHORITY})`,
      command: kubectl(
        to,
        '-n',
        NAMESPACE,
        'get',
        'secret',
        AUTHORITY,
        '-o',
        String.raw`jsonpath={.data.ca\.crt}`,
      ),
    },
  ];
}

/** What is missing of a cluster as agents know it: whose nodes or identities are unknown is as good as not joined. Pure. */
export function problemOf(known: RemoteCluster | undefined): string | undefined {
  if (!known?.ready) return known?.status || 'no cluster of the mesh';
  if (known.nodes === 0) return 'connected, but none of its nodes is known';
  return known.identities === 0 ? 'connected, but none of its identities is known' : undefined;
}

/** Nodes that are named where more are concerned. */
const NAMED_NODES = 3;

/** Which agents do not know a cluster, and what they say of it; undefined when every one that was asked does. Pure. */
function unknownTo(
  { said, of }: AgentsSay,
  { from, to }: { readonly from: string; readonly to: string },
): (Pick<BrokenLink, 'what' | 'nodes'> & { readonly pod: string }) | undefined {
  const bad = said.flatMap(({ pod, node, clusters }) => {
    const problem = problemOf(clusters.find(({ name }) => name === to));
    return problem === undefined ? [] : [{ pod, node, problem }];
  });
  const [first] = bad;
  if (!first) return undefined;
  const asked = said.length < of ? `${said.length} agents asked of ${of}` : `${of} agents`;
  const nodes = bad.slice(0, NAMED_NODES).map(({ node }) => node);
  if (bad.length > nodes.length) nodes.push(`${bad.length - nodes.length} more`);
  const who =
    bad.length === of
      ? `agents of ${from} do not know ${to}`
      : `${bad.length} of ${asked} of ${from} (on ${nodes.join(', ')}) ${bad.length === 1 ? 'does' : 'do'} not know ${to}`;
  return {
    what: `${who}: ${first.problem}`,
    pod: first.pod,
    ...(bad.length < of && { nodes: bad.map(({ node }) => node) }),
  };
}

async function connectionFrom(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const unknown = unknownTo(await askAgents(from), { from: from.name, to: to.name });
  if (!unknown) return [];
  const { pod, ...told } = unknown;
  const status = ['exec', pod, '-c', AGENT_CONTAINER, '--', 'cilium-dbg', 'status'];
  return [{ cause: 'api-server-unreachable', ...told, command: kubectl(from, '-n', NAMESPACE, ...status) }];
}

/** Namespaces are the same thing in every cluster only where they have the same name. */
async function namespacesOf(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  return (await missingNamespaces(from, to)).map((name) => ({
    cause: 'namespace-not-same',
    what: `${to.name} has no namespace ${name}, so its services are others`,
    command: kubectl(to, 'get', 'namespaces'),
  }));
}
