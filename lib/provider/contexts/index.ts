/** Clusters that exist, by kubeconfig context: nothing is made there but namespaces of the run. */
import path from 'node:path';
import type { Feature, Fleet, Provider, ProviderLimits, ProviderOptions } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { Probe, ProbeTransport } from '../../model/probe.ts';
import type { KubernetesOptions } from '../../model/spec.ts';
import { inEach, untold } from '../../model/steps.ts';
import { systemClock } from '../../system/clock.ts';
import { makePrivateFolder, stateFolder, writeAtomically } from '../../system/files.ts';
import { KubernetesClient } from '../../system/kubernetes/client.ts';
import { extractContext } from '../../system/kubernetes/kubeconfig.ts';
import { absentGateway } from '../kubernetes/absentGateway.ts';
import { inCluster } from '../kubernetes/errors.ts';
import {
  KUBERNETES_FEATURES,
  type KubernetesClusterHandle,
  createKubernetesCluster,
  kubernetesHandlers,
  kubernetesInjectors,
} from '../kubernetes/index.ts';

export interface ContextsDependencies {
  readonly kubernetes: KubernetesOptions;
  readonly probeImage: string | undefined;
  readonly connectProbe: (agent: ProbeTransport) => Probe;
  /** Commands with which a user builds and pushes the image of the probe. */
  readonly buildCommands: readonly string[];
}

/** Images may have to be pulled, and nobody here knows how fast that is. */
const LIMITS: ProviderLimits = {
  setUpMs: 5 * 60_000,
  setUpPerClusterMs: 15_000,
  graceMs: 10_000,
  teardownMs: 2 * 60_000,
  teardownPerClusterMs: 5_000,
  // What else these clusters serve must not feel a run.
  casesAtOnce: 2,
};
/** Anybody may remove what is older. */
const LIFE_MS = 24 * 60 * 60 * 1_000;

export function createContextsProvider(dependencies: ContextsDependencies): Provider {
  return {
    name: 'contexts',
    features: featuresOf(dependencies.kubernetes),
    handlers: kubernetesHandlers,
    injectors: kubernetesInjectors,
    limits: LIMITS,
    check: async () =>
      dependencies.probeImage === undefined
        ? [
            {
              what: 'no image of the probe agent is named, and existing clusters can only pull one',
              remedy: `build and push one, then name it:\n  ${dependencies.buildCommands.join('\n  ')}`,
            },
          ]
        : [],
    create: async (options) => {
      const folder = kubeconfigFolder(options.run);
      const description = `kubeconfigs in ${folder}`;
      await options.ledger.add({ description, undo: { kind: 'remove-path', path: folder } });
      return fleetIn(folder, options, dependencies);
    },
    attach: async (run, options) => {
      // Noted when the run was new: what is noted last goes first, and namespaces are removed by these files.
      const fleet = await fleetIn(kubeconfigFolder(run), options, dependencies);
      const { step = untold } = options;
      await inEach(fleet.clusters, step, 'workloads found', (cluster) => cluster.reconnect());
      return fleet;
    },
    observedVersions: async (fleet) => (fleet ? versionsOf(fleet as ContextsFleet) : {}),
    // Names and digests of images say from where nodes have them, and not who built them.
    localBuilds: async () => [
      'clusters that were there before: not observed: others installed what runs in them, from images that this machine cannot inspect',
    ],
  };
}

const featuresOf = ({ addressesPlanned }: KubernetesOptions): readonly Feature[] =>
  addressesPlanned ? [...KUBERNETES_FEATURES, 'planned-addresses'] : KUBERNETES_FEATURES;

interface ContextsFleet extends Fleet {
  readonly clusters: readonly KubernetesClusterHandle[];
}

/** With the state of runs, not with their sockets: those are gone after a reboot, and the namespaces are not. */
const kubeconfigFolder = (run: string): string => path.join(stateFolder(), 'kubeconfigs', run);

async function fleetIn(
  folder: string,
  options: ProviderOptions,
  dependencies: ContextsDependencies,
): Promise<ContextsFleet> {
  await makePrivateFolder(folder);
  return assembleContexts(options, dependencies, folder);
}

type Assembly = Omit<ProviderOptions, 'requirements'> & Partial<Pick<ProviderOptions, 'requirements'>>;

/**
 * The clusters as a fleet; nothing is created in them.
 * @param folder private, where a kubeconfig of each cluster is written for the tools that read one
 */
export async function assembleContexts(
  options: Assembly,
  dependencies: Omit<ContextsDependencies, 'buildCommands'>,
  folder: string,
): Promise<ContextsFleet> {
  const { run, names, topology, plan, families } = options;
  const clusters = await Promise.all(
    names.map((name) => clusterOf(name, path.join(folder, name), options, dependencies)),
  );
  return { run, clusters, topology, plan, families };
}

async function clusterOf(
  name: string,
  kubeconfig: string,
  options: Assembly,
  { kubernetes, probeImage, connectProbe }: Omit<ContextsDependencies, 'buildCommands'>,
): Promise<KubernetesClusterHandle> {
  const { run, plan, families, ledger, signal, requirements } = options;
  const context = kubernetes.contexts[name];
  const ranges = plan.clusters[name];
  if (context === undefined || !ranges || probeImage === undefined) {
    throw new UserError(`the cluster ${name} has no context`, {
      where: '--context',
      remedy: 'Name one context for each cluster',
    });
  }
  await inCluster(name, async () =>
    writeAtomically(kubeconfig, await extractContext(kubernetes.kubeconfig, context), 0o600),
  );
  const { url } = await inCluster(name, () => new KubernetesClient({ kubeconfig, context }).server());
  return createKubernetesCluster({
    run,
    name,
    ranges,
    families,
    fleetRanges: plan.clusters,
    kubeconfig,
    context,
    apiServer: url,
    own: false,
    policyKinds: requirements?.kubernetes?.policyKinds ?? [],
    gateway: absentGateway(name),
    image: probeImage,
    imagePullPolicy: 'IfNotPresent',
    privileged: false,
    ...(kubernetes.namespace !== undefined && { namespacePrefix: kubernetes.namespace }),
    nodeSelector: kubernetes.nodeSelector,
    tolerations: kubernetes.tolerations,
    imagePullSecrets: kubernetes.imagePullSecrets,
    expiresAt: new Date(systemClock.now() + LIFE_MS).toISOString(),
    ledger,
    signal,
    connectProbe,
  });
}

async function versionsOf({ clusters }: ContextsFleet): Promise<Record<string, string>> {
  const versions = await Promise.all(
    clusters.map(async (cluster) => [cluster.name, await cluster.version()] as const),
  );
  return Object.fromEntries(versions.map(([name, version]) => [`Kubernetes of ${name}`, version]));
}
