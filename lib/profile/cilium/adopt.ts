/** Finds Cilium Cluster Mesh as somebody installed it, and changes nothing. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Topology, reachableFrom } from '../../model/topology.ts';
import { remoteClusters } from './agents.ts';
import { type Configuration, SCOPE_KEY, configurationOf, scopeIn } from './configuration.ts';
import { CONFIGURATION } from './names.ts';
import type { CiliumOptions } from './options.ts';

/** @throws UserError naming the cluster where something is missing, or that is configured otherwise than the others */
export async function adoptCilium(
  clusters: readonly KubernetesCluster[],
  topology: Topology,
  options: Choices,
): Promise<void> {
  const configurations = await Promise.all(clusters.map(configurationOf));
  // How a cluster calls itself in its mesh.
  const names = configurations.map((configuration) => configuration?.['cluster-name']);
  const without = clusters.find((_, index) => names[index] === undefined);
  if (without) {
    throw new UserError(`Cilium is not installed in ${without.name}`, {
      where: `ConfigMap kube-system/${CONFIGURATION}`,
      remedy: 'Install it there, or choose another --profile',
    });
  }
  const different = clusters.find(({ name }, index) => names[index] !== name);
  if (different) {
    const name = names[clusters.indexOf(different)] as string;
    throw new UserError(`the cluster ${different.name} calls itself ${name} in its mesh`, {
      where: `cluster-name in ConfigMap kube-system/${CONFIGURATION}`,
      remedy: `Policies name clusters: call it the same here, with --clusters ${names.join(',')}`,
    });
  }
  for (const [index, { name }] of clusters.entries()) {
    const other = otherwise(configurations[index] ?? {}, options);
    if (!other) continue;
    throw new UserError(`Cilium in ${name} ${other.is}`, {
      where: `${other.key} in ConfigMap kube-system/${CONFIGURATION}`,
      remedy: other.remedy,
    });
  }
  await Promise.all(
    clusters.map(async (cluster) => {
      // Joined is whoever one of its agents has to know; whether all do is for checks to find.
      const known = new Set((await remoteClusters(cluster)).flat().map(({ name }) => name));
      const missing = reachableFrom(topology, cluster.name).filter((name) => !known.has(name));
      if (missing.length === 0) return;
      throw new UserError(
        `${cluster.name} is in no mesh with ${missing.join(', ')}: what others are joined with does not count`,
        {
          where: `clusters there: ${[...known].join(', ') || 'none'}`,
          remedy:
            'Join them as the documentation of Cluster Mesh says, put them into different segments, or choose another --profile',
        },
      );
    }),
  );
  const scopes = configurations.map(scopeIn);
  const other = clusters.find((_, index) => scopes[index] !== scopes[0]);
  if (other) {
    throw new UserError(
      `policies that name no cluster mean something else in ${other.name} than in the others`,
      {
        where: `${SCOPE_KEY} in ConfigMap kube-system/${CONFIGURATION}`,
        remedy: 'Configure all clusters alike (clustermesh.policyDefaultLocalCluster)',
      },
    );
  }
}

/** What of the options says how clusters are to be, and so what checks may expect of them. */
type Choices = Pick<CiliumOptions, 'ciliumRouting' | 'ciliumEncryption' | 'ciliumSharing'>;

interface Otherwise {
  readonly key: string;
  readonly is: string;
  readonly remedy: string;
}

/** What an agent was configured with that the options say otherwise; undefined when they agree. Pure. */
export function otherwise(configuration: Configuration, options: Choices): Otherwise | undefined {
  const { ciliumRouting, ciliumEncryption, ciliumSharing } = options;
  // The chart's own where nothing is said.
  const mode = configuration['routing-mode'] ?? 'tunnel';
  const routing = mode === 'native' ? mode : (configuration['tunnel-protocol'] ?? 'vxlan');
  if (routing !== ciliumRouting) {
    return {
      key: 'routing-mode, tunnel-protocol',
      is: routing === 'native' ? 'routes what pods send' : `tunnels what pods send by ${routing}`,
      remedy: `Say \`--cilium-routing ${routing}\``,
    };
  }
  if (ciliumEncryption === 'wireguard' && configuration['enable-wireguard'] !== 'true') {
    return {
      key: 'enable-wireguard',
      is: 'encrypts nothing by WireGuard',
      remedy: 'Leave --cilium-encryption out, or enable it there (encryption.type=wireguard)',
    };
  }
  if (ciliumSharing === 'mcs-api' && configuration['clustermesh-enable-mcs-api'] !== 'true') {
    return {
      key: 'clustermesh-enable-mcs-api',
      is: 'does not carry out the Multi-Cluster Services API',
      remedy: 'Leave --cilium-sharing out, or enable it there (clustermesh.mcsapi.enabled)',
    };
  }
  return undefined;
}
