/** Looks at clusters that exist before anything is planned: which they are, what they allow, which addresses they use. */
import { type ClusterRanges, RANGE_KINDS } from '../../model/addressing.ts';
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { KubernetesClient } from '../../system/kubernetes/client.ts';
import { KubernetesError } from '../../system/kubernetes/errors.ts';
import { inCluster } from '../kubernetes/errors.ts';
import { addressesOf, podRangesOf } from '../kubernetes/nodes.ts';
import {
  coveringPerFamily,
  flagRanges,
  kubeadmRanges,
  nodeRanges,
  perFamily,
  rangeInRefusal,
} from './ranges.ts';

export interface SurveyOptions {
  /** Cluster names in order, each with its context. */
  readonly contexts: Readonly<Record<string, string>>;
  /** Absent: as kubectl finds it. */
  readonly kubeconfig?: string;
  readonly families: readonly IpFamily[];
  /** Ranges that the user has given; they are not looked for. */
  readonly given: Readonly<Record<string, Partial<ClusterRanges>>>;
  readonly signal?: AbortSignal;
}

export interface SurveyedCluster {
  readonly name: string;
  readonly context: string;
  readonly apiServer: string;
  readonly version: string;
  readonly nodes: number;
  readonly ranges: ClusterRanges;
}

interface Found {
  readonly name: string;
  readonly context: string;
  readonly url: string;
  readonly version: string;
  /** What is the same for two names of one cluster, as far as it can be read. */
  readonly marks: readonly string[];
  readonly nodes: readonly KubernetesObject[] | undefined;
  readonly pods: PerFamily<string>;
  readonly services: PerFamily<string>;
}

/** Rights without which nothing can be done, as the API server reviews them. */
const NEEDED = [
  { verb: 'create', resource: 'namespaces' },
  { verb: 'patch', resource: 'namespaces' },
  { verb: 'delete', resource: 'namespaces' },
  { verb: 'get', resource: 'pods' },
  { verb: 'list', resource: 'pods' },
  { verb: 'create', resource: 'pods' },
  { verb: 'patch', resource: 'pods' },
  { verb: 'create', resource: 'pods', subresource: 'exec' },
  { verb: 'create', resource: 'services' },
  { verb: 'create', resource: 'serviceaccounts' },
  { verb: 'create', resource: 'networkpolicies', group: 'networking.k8s.io' },
  { verb: 'create', resource: 'endpointslices', group: 'discovery.k8s.io' },
] as const;

/** @throws UserError for a cluster that cannot be used, two names for one, or ranges that nobody tells */
export async function surveyContexts(options: SurveyOptions): Promise<readonly SurveyedCluster[]> {
  const found = await Promise.all(
    Object.entries(options.contexts).map(([name, context]) => lookAt(name, context, options)),
  );
  refuseSameCluster(found);
  const nodeBlocks = nodeRanges(
    Object.fromEntries(
      found.map(({ name, nodes = [] }) => [name, nodes.flatMap((node) => Object.values(addressesOf(node)))]),
    ),
  );
  return found.map((one) => {
    const ranges: ClusterRanges = {
      pods: one.pods,
      services: one.services,
      nodes: nodeBlocks[one.name] ?? {},
    };
    return {
      name: one.name,
      context: one.context,
      apiServer: one.url,
      version: one.version,
      nodes: one.nodes?.length ?? 0,
      ranges: inFamilies({ ...ranges, ...options.given[one.name] }, one, options.families),
    };
  });
}

async function lookAt(name: string, context: string, options: SurveyOptions): Promise<Found> {
  const { kubeconfig, signal, given } = options;
  const client = new KubernetesClient({
    context,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(signal && { signal }),
  });
  return inCluster(name, async () => {
    const { url, authority } = await client.server();
    const version = await versionOf(client);
    await refuseWithoutRights(client, name);
    const nodes = await ifAllowed(() => itemsOf(client, 'list nodes', '/api/v1/nodes'));
    const system = await ifAllowed(() =>
      read(client, 'read namespace kube-system', '/api/v1/namespaces/kube-system'),
    );
    const uid = system?.metadata['uid'];
    const { pods, services } = given[name] ?? {};
    const configuration = await kubeadmConfiguration(client);
    return {
      name,
      context,
      url,
      version,
      marks: [`${url} ${authority ?? ''}`, ...(typeof uid === 'string' ? [`kube-system ${uid}`] : [])],
      nodes,
      pods: pods ?? (await podRange(client, configuration, nodes ?? [])),
      services: services ?? (await serviceRange(client, configuration)),
    };
  });
}

async function versionOf(client: KubernetesClient): Promise<string> {
  const answer = (await client.json({ what: 'read the version', method: 'GET', path: '/version' })) as {
    readonly gitVersion?: string;
  };
  return answer.gitVersion ?? 'unknown';
}

/** Says all that is missing at once, before anything is made. */
async function refuseWithoutRights(client: KubernetesClient, cluster: string): Promise<void> {
  const reviews = await Promise.all(
    NEEDED.map(async (resourceAttributes) => {
      const review = (await client.json({
        what: 'review the rights of this user',
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes },
        },
      })) as { readonly status?: { readonly allowed?: boolean } };
      return review.status?.allowed === true ? [] : [describeRight(resourceAttributes)];
    }),
  );
  const missing = reviews.flat();
  if (missing.length === 0) return;
  throw new UserError(`the user of this context may not ${missing.join(', ')}`, {
    where: `cluster ${cluster}`,
    remedy: 'Ask for a ClusterRole with these rights, or use a context whose user has them',
  });
}

function describeRight(right: (typeof NEEDED)[number]): string {
  return `${right.verb} ${right.resource}${'subresource' in right ? `/${right.subresource}` : ''}`;
}

/** Undefined where the user may not look, or there is nothing. */
async function ifAllowed<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof KubernetesError && ['forbidden', 'not-found'].includes(error.failure))
      return undefined;
    throw error;
  }
}

const read = async (client: KubernetesClient, what: string, path: string): Promise<KubernetesObject> =>
  (await client.json({ what, method: 'GET', path })) as KubernetesObject;

async function itemsOf(
  client: KubernetesClient,
  what: string,
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<readonly KubernetesObject[]> {
  const { items = [] } = (await client.json({ what, method: 'GET', path, query })) as {
    items?: readonly KubernetesObject[];
  };
  return items;
}

async function kubeadmConfiguration(client: KubernetesClient): Promise<string> {
  const map = await ifAllowed(() =>
    read(client, "read kubeadm's configuration", '/api/v1/namespaces/kube-system/configmaps/kubeadm-config'),
  );
  const { ClusterConfiguration: text = '' } = (map?.['data'] ?? {}) as {
    readonly ClusterConfiguration?: string;
  };
  return text;
}

const isKnown = (range: PerFamily<string>): boolean => Object.keys(range).length > 0;

async function podRange(
  client: KubernetesClient,
  configuration: string,
  nodes: readonly KubernetesObject[],
): Promise<PerFamily<string>> {
  const written = kubeadmRanges(configuration).pods;
  if (isKnown(written)) return written;
  const flagged = flagRanges(await commandOf(client, 'kube-controller-manager'), 'cluster-cidr');
  if (isKnown(flagged)) return flagged;
  return coveringPerFamily(nodes.flatMap((node) => Object.values(podRangesOf(node))));
}

async function serviceRange(client: KubernetesClient, configuration: string): Promise<PerFamily<string>> {
  const objects = await ifAllowed(() =>
    itemsOf(client, 'list service ranges', '/apis/networking.k8s.io/v1/servicecidrs'),
  );
  const declared = perFamily(
    (objects ?? []).flatMap(
      (one) => ((one['spec'] ?? {}) as { readonly cidrs?: readonly string[] }).cidrs ?? [],
    ),
  );
  if (isKnown(declared)) return declared;
  const written = kubeadmRanges(configuration).services;
  if (isKnown(written)) return written;
  const flagged = flagRanges(await commandOf(client, 'kube-apiserver'), 'service-cluster-ip-range');
  return isKnown(flagged) ? flagged : askForServiceRange(client);
}

/** Command line of a control plane's pod, where it is a pod and may be read. */
async function commandOf(client: KubernetesClient, component: string): Promise<readonly string[]> {
  const pods = await ifAllowed(() =>
    itemsOf(client, `list pods of ${component}`, '/api/v1/namespaces/kube-system/pods', {
      labelSelector: `component=${component}`,
    }),
  );
  const { containers = [] } = (pods?.[0]?.['spec'] ?? {}) as {
    readonly containers?: readonly {
      readonly command?: readonly string[];
      readonly args?: readonly string[];
    }[];
  };
  return containers.flatMap(({ command = [], args = [] }) => [...command, ...args]);
}

/** A service at an address that no cluster gives out is refused with the range; and `dryRun` would create none. */
async function askForServiceRange(client: KubernetesClient): Promise<PerFamily<string>> {
  try {
    await client.json({
      what: 'ask for the service range',
      method: 'POST',
      path: '/api/v1/namespaces/default/services',
      query: { dryRun: 'All' },
      body: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'mcnet-conformance-asks' },
        spec: { clusterIP: '192.0.2.1', ports: [{ port: 80 }] },
      },
    });
  } catch (error) {
    if (error instanceof KubernetesError) return rangeInRefusal(error.message);
    throw error;
  }
  return {};
}

function refuseSameCluster(found: readonly Found[]): void {
  for (const [index, one] of found.entries()) {
    const same = found.slice(0, index).find(({ marks }) => marks.some((mark) => one.marks.includes(mark)));
    if (!same) continue;
    throw new UserError(
      `${same.name} and ${one.name} are the same cluster (contexts ${same.context} and ${one.context})`,
      {
        where: one.url,
        remedy: 'Name one context of each cluster',
      },
    );
  }
}

/** @throws UserError for what nobody has told */
function inFamilies(ranges: ClusterRanges, { name }: Found, families: readonly IpFamily[]): ClusterRanges {
  for (const kind of ['pods', 'services'] as const) {
    const missing = families.find((family) => ranges[kind][family] === undefined);
    if (missing === undefined) continue;
    throw new UserError(`the ${missing === 'ipv4' ? 'IPv4' : 'IPv6'} range of ${kind} cannot be found out`, {
      where: `cluster ${name}`,
      remedy: `Give it in mcnet.yaml: clusters: [{ name: ${name}, ${kind}: <range>, … }, …]`,
    });
  }
  return Object.fromEntries(
    RANGE_KINDS.map((kind) => [
      kind,
      Object.fromEntries(
        families.flatMap((family) => {
          const range = ranges[kind][family];
          return range === undefined ? [] : [[family, range]];
        }),
      ),
    ]),
  ) as unknown as ClusterRanges;
}
