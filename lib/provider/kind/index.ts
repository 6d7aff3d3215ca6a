/** Real clusters in containers, by kind: each on a Docker network of its own, joined by gateway containers. */
import { availableParallelism } from 'node:os';
import type { Provider, ProviderLimits, ProviderOptions } from '../../model/cluster.ts';
import { CILIUM_IMAGES } from '../../model/cilium.ts';
import { UserError } from '../../model/errors.ts';
import { allEnded } from '../../model/promises.ts';
import { type Step, inEach, untold } from '../../model/steps.ts';
import { readIfPresent, removePath, writeAtomically } from '../../system/files.ts';
import { rangesInUse } from '../ranges.ts';
import { KUBERNETES_FEATURES, kubernetesHandlers } from '../kubernetes/index.ts';
import type { KindDependencies, KindFleetState } from './context.ts';
import {
  addressesOn,
  createCluster,
  createGateway,
  createNetworks,
  labelsOf,
  noteContainers,
  prepareRun,
} from './create.ts';
import { installCilium } from './cilium.ts';
import { docker } from './docker.ts';
import { kindInjectors } from './faults/index.ts';
import { type KindFleet, assembleFleet } from './fleet.ts';
import { ensureBuilt, loadImages, loadMissing, saveImages } from './images.ts';
import { checkMachine, observeMachine } from './machine.ts';
import { clusterName, controlPlaneName, fleetFile, gatewayName } from './names.ts';
import { connectNodes } from './nodes.ts';
import { localBuilds, observeVersions } from './versions.ts';

/** An image may have to be pulled by every node; a machine that is busy takes minutes for a control plane. */
const LIMITS: ProviderLimits = {
  setUpMs: 10 * 60_000,
  setUpPerClusterMs: 60_000,
  graceMs: 10_000,
  teardownMs: 180_000,
  teardownPerClusterMs: 20_000,
  // Every cluster brings a control plane, and every workload a container: more would measure each other.
  casesAtOnce: Math.max(2, availableParallelism()),
  clustersShareMachine: true,
};
const LIFE_MS = 24 * 60 * 60 * 1_000;

export function createKindProvider(dependencies: KindDependencies): Provider {
  return {
    name: 'kind',
    features: [
      ...KUBERNETES_FEATURES,
      'wan.capture',
      'gateway.probe',
      'workload.privileged',
      'planned-addresses',
    ],
    handlers: kubernetesHandlers,
    injectors: kindInjectors,
    limits: LIMITS,
    check: (requirements) => checkMachine(requirements, dependencies),
    create: (options) => createFleet(options, dependencies),
    attach: (run, options) => attachFleet(run, options, dependencies),
    observedVersions: (fleet) =>
      fleet ? observeVersions(fleet as KindFleet, dependencies) : observeMachine(dependencies),
    localBuilds: (fleet) => localBuilds(fleet as KindFleet),
  };
}

async function createFleet(options: ProviderOptions, dependencies: KindDependencies): Promise<KindFleet> {
  const { run, names, signal, requirements, step = untold } = options;
  const expiresAt = new Date(Date.now() + LIFE_MS).toISOString();
  const labels = labelsOf(run, expiresAt);
  await prepareRun(options);
  const [probeImage, gatewayImage] = await Promise.all([
    imageNamed('probe', dependencies, signal, step),
    imageNamed('gateway', dependencies, signal, step),
  ]);
  const { cni = 'default', cniImages: named = [], images = [] } = requirements.kubernetes ?? {};
  // A profile that connects pods by itself brings its own.
  const installsCilium = dependencies.kubernetes.cni === 'cilium' && cni === 'default';
  const cniImages = installsCilium ? CILIUM_IMAGES.flatMap((name) => dependencies.images[name] ?? []) : named;
  const blocks = await step({ what: 'networks' }, () => createNetworks(options, labels));
  await noteContainers(options);
  const saving = step({ what: 'images saved' }, () => saveImages([probeImage, ...images], options));
  // Whoever waits for it sees it fail; a cluster that fails first must not leave it unheard.
  saving.catch(() => undefined);
  const gateways = names.map((name) =>
    step({ what: 'gateway', cluster: name }, () =>
      createGateway(options, name, { image: gatewayImage, blocks, labels }),
    ),
  );
  const clusters = names.map(async (name) => {
    await step({ what: 'kind create cluster', cluster: name }, () =>
      createCluster(options, name, rangesInUse(options.plan, options.families, name), dependencies),
    );
    const archive = await saving;
    await step({ what: 'images loaded', cluster: name }, async () => {
      if (archive) await loadImages(run, name, archive, dependencies, signal);
      await loadMissing(cniImages, options, name, dependencies);
    });
    if (installsCilium) {
      await step({ what: 'Cilium ready', cluster: name }, () => installCilium(options, name, dependencies));
    }
    return addressesOn(controlPlaneName(run, name), clusterName(run, name));
  });
  const [nodeAddresses, gatewayFacts] = await allEnded([allEnded(clusters), allEnded(gateways)]);
  const archive = await saving;
  if (archive) await removePath(archive.folder);
  const state: KindFleetState = {
    run,
    names,
    topology: options.topology,
    plan: options.plan,
    families: options.families,
    probeImage,
    podRoutes: requirements.kubernetes?.podRoutes ?? true,
    expiresAt,
    clusters: Object.fromEntries(
      names.map((name, index) => [
        name,
        { nodeAddresses: nodeAddresses[index]!, gateway: gatewayFacts[index]! },
      ]),
    ),
  };
  await writeAtomically(fleetFile(run), JSON.stringify(state, undefined, 1), 0o600);
  const fleet = assembleFleet(state, options, dependencies);
  await inEach(fleet.clusters, step, 'routes between nodes and gateway', (cluster) =>
    connectNodes(cluster, state, signal),
  );
  return fleet;
}

function imageNamed(
  name: 'probe' | 'gateway',
  { images, builtImages }: KindDependencies,
  signal: AbortSignal,
  step: Step,
): Promise<string> {
  const given = images[name];
  return given === undefined
    ? step({ what: `image of the ${name} built` }, async () => ensureBuilt(await builtImages(name), signal))
    : Promise.resolve(given);
}

/** Finds the fleet of a kept run as it is, broken or not, and changes nothing. */
async function attachFleet(
  run: string,
  options: ProviderOptions,
  dependencies: KindDependencies,
): Promise<KindFleet> {
  const file = fleetFile(run);
  const text = await readIfPresent(file);
  const remedy = `remove what is left with \`mcnet-conformance clean ${run}\` and run again`;
  if (text === undefined) {
    throw new UserError(`there are no kind clusters of run ${run} on this machine`, {
      where: file,
      remedy: 'start some with `--keep`, and attach to the run id that it prints',
    });
  }
  let state: KindFleetState;
  try {
    state = JSON.parse(text) as KindFleetState;
  } catch (error) {
    throw new UserError('the description of the kept clusters cannot be read', {
      where: file,
      remedy,
      cause: error,
    });
  }
  const running = new Set((await docker(['ps', '--format', '{{.Names}}'])).split('\n'));
  const wanted = state.names.flatMap((name) => [controlPlaneName(run, name), gatewayName(run, name)]);
  const gone = wanted.filter((name) => !running.has(name));
  if (gone.length > 0) {
    throw new UserError(`of the clusters of run ${run} is gone, or stopped: ${gone.join(', ')}`, {
      where: 'Docker engine',
      remedy,
    });
  }
  const fleet = assembleFleet(state, options, dependencies);
  const { step = untold } = options;
  await inEach(fleet.clusters, step, 'workloads found', (cluster) => cluster.reconnect());
  return fleet;
}
