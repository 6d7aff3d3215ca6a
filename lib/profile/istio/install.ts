/** Installs Istio into clusters that this program made. */
import type { Fleet, KubernetesCluster, KubernetesObject, Ledger } from '../../model/cluster.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import { type Step, inEach, untold } from '../../model/steps.ts';
import { systemClock } from '../../system/clock.ts';
import { CommandError, runCommand } from '../../system/commands.ts';
import { writeAtomically } from '../../system/files.ts';
import { podTimes } from '../common/podTimes.ts';
import { giveIntermediates, makeFolder, newRoot, operatorFile } from './authorities.ts';
import type { ControlPlanes } from './clusters.ts';
import { watchedClusters } from './controlPlane.ts';
import { lacksOwnFilters } from './images.ts';
import { AUTHORITY, ENDING_AUTHORITY, NEXT_AUTHORITY, SYSTEM_NAMESPACE, networkOf } from './names.ts';
import {
  exposeControlPlane,
  exposeServices,
  gatewayAddress,
  meshWideMutualTls,
  systemNamespace,
} from './objects.ts';
import { type OperatorOptions, operatorOf } from './operator.ts';
import { type IstioOptions, hasGateways, hasNetworks, hasOnePrimary } from './options.ts';
import { introduce } from './remoteAccess.ts';

/** Everything of it becomes ready within half a minute on a quiet machine. */
const INSTALL_LIMIT_MS = 300_000;
/** From a remote secret to a control plane that knows all that is in the other cluster. */
const SYNC_LIMIT_MS = 120_000;
const POLL_MS = 500;

/** @throws UserError when istioctl fails, or a control plane never gets to know another cluster */
export async function installIstio(
  fleet: Fleet,
  ledger: Ledger,
  planes: ControlPlanes,
  options: IstioOptions,
  step: Step = untold,
): Promise<void> {
  const { istioTopology: topology } = options;
  const apart = hasNetworks(topology);
  const now = new Date(systemClock.now());
  await makeFolder(fleet.run, ledger);
  const [root, plainEnvoy] = await Promise.all([newRoot(fleet.run, now), lacksOwnFilters(options)]);
  const { clusters, primaries } = planes;
  const install = (cluster: KubernetesCluster, more: Pick<OperatorOptions, 'controlPlane'> = {}) =>
    step({ what: 'istioctl install', cluster: cluster.name }, async (note) => {
      await runIstioctl(fleet.run, cluster, options, {
        cluster: cluster.name,
        topology,
        plainEnvoy,
        ...(options.images.istioPilot !== undefined && { pilotImage: options.images.istioPilot }),
        ...(options.images.istioProxyv2 !== undefined && { proxyImage: options.images.istioProxyv2 }),
        ...more,
      });
      note(podTimes(await podsOf(cluster)));
    });

  const [first] = primaries;
  await Promise.all(
    clusters.map(async (cluster) => {
      const remote = hasOnePrimary(topology) && cluster !== first;
      await step({ what: 'namespace and authorities', cluster: cluster.name }, async () => {
        await cluster.objects.apply([
          systemNamespace(networkOf(cluster.name, apart), remote ? first?.name : undefined),
        ]);
        if (!remote)
          await giveIntermediates(cluster, root, {
            now,
            names: [AUTHORITY, NEXT_AUTHORITY, ENDING_AUTHORITY],
          });
      });
    }),
  );
  await Promise.all(
    primaries.map(async (cluster) => {
      await install(cluster);
      await cluster.objects.apply([meshWideMutualTls]);
      if (!hasGateways(topology)) return;
      await cluster.objects.apply([
        gatewayAddress(await nodeAddressesOf(cluster)),
        ...(apart ? [exposeServices] : []),
        ...(hasOnePrimary(topology) ? exposeControlPlane : []),
      ]);
    }),
  );
  if (hasOnePrimary(topology) && first) {
    const [address] = await nodeAddressesOf(first);
    if (address === undefined) throw new UserError(`the nodes of ${first.name} have no IPv4 address`);
    await Promise.all(
      planes.watchedBy(first).map((cluster) => install(cluster, { controlPlane: { address } })),
    );
  }
  await inEach(primaries, step, 'remote secrets', (primary) => introduce(primary, planes.watchedBy(primary)));
  await inEach(primaries, step, 'other clusters known', (primary) =>
    untilKnown(primary, planes.watchedBy(primary)),
  );
}

/** Which of them there are is for the record only: nothing depends on it. */
const podsOf = (cluster: KubernetesCluster): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({ apiVersion: 'v1', kind: 'Pod', namespace: SYSTEM_NAMESPACE }).catch(() => []);

async function nodeAddressesOf(cluster: KubernetesCluster): Promise<string[]> {
  return (await cluster.nodes()).flatMap(({ addresses }) => addresses.ipv4 ?? []);
}

async function runIstioctl(
  run: string,
  cluster: KubernetesCluster,
  options: IstioOptions,
  operator: OperatorOptions,
): Promise<void> {
  const file = operatorFile(run, cluster.name);
  await writeAtomically(file, JSON.stringify(operatorOf(operator), undefined, 1), 0o600);
  const { istioctl = 'istioctl' } = options.tools;
  try {
    await runCommand(
      [
        istioctl,
        ...['install', '--skip-confirmation', '--filename', file],
        ...['--kubeconfig', cluster.kubeconfig, '--context', cluster.context],
        ...['--readiness-timeout', `${INSTALL_LIMIT_MS / 1_000}s`],
      ],
      { timeoutMs: INSTALL_LIMIT_MS },
    );
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new UserError(
      error.notFound
        ? `istioctl is not installed`
        : `Istio cannot be installed in ${cluster.name}: ${messageOf(error)}`,
      {
        where: error.notFound ? 'PATH, tools.istioctl' : `cluster ${cluster.name}`,
        remedy: error.notFound
          ? 'Install istioctl, or name it as `tools: { istioctl: … }` in mcnet.yaml'
          : 'Look at the pods of istio-system there: `kubectl -n istio-system get pods`',
        cause: error,
      },
    );
  }
}

async function untilKnown(primary: KubernetesCluster, others: readonly KubernetesCluster[]): Promise<void> {
  const end = systemClock.monotonic() + SYNC_LIMIT_MS;
  for (;;) {
    const watched = await watchedClusters(primary);
    const missing = others.filter(
      ({ name }) => !watched.some(({ id, status }) => id === name && status === 'synced'),
    );
    if (missing.length === 0) return;
    if (systemClock.monotonic() > end) {
      const seen = watched.map(({ id, status }) => `${id} ${status}`).join(', ') || 'none';
      throw new UserError(
        `the control plane of ${primary.name} does not get to know ${missing.map(({ name }) => name).join(', ')}`,
        {
          where: `remote clusters there: ${seen}`,
          remedy: 'Can its pods reach the other API server? `istioctl remote-clusters` and its log say more',
        },
      );
    }
    await systemClock.sleep(POLL_MS);
  }
}
