/** The embedded lab: clusters made of network namespaces on this machine. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Fleet, Provider, ProviderLimits, ProviderOptions } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { allEnded } from '../../model/promises.ts';
import { inEach, untold } from '../../model/steps.ts';
import { quoteCommand } from '../../system/commands.ts';
import { makePrivateFolder, readIfPresent, runtimeFolder, writeAtomically } from '../../system/files.ts';
import { stillExists } from '../../system/undo.ts';
import { inUse, rangesInUse } from '../ranges.ts';
import { gatewayAddresses } from './addresses.ts';
import { LabCluster, runScript } from './cluster.ts';
import { limiter, shared } from '../concurrency.ts';
import type { LabContext, LabDependencies } from './context.ts';
import { labInjectors } from './faults.ts';
import { policyHandler, shareHandler } from './handlers.ts';
import { checkMachine, observeVersions } from './machine.ts';
import { clusterFolder, fleetFile, gatewayNetns, wanNetns } from './names.ts';
import { renderGateway, renderWan, withPrefix } from './scripts.ts';
import { type FleetState, newFleetState, parseFleetState } from './state.ts';

/** More at once only queue at the kernel's lock of network configuration. */
const AT_ONCE = Math.max(4, 2 * availableParallelism());

/** Set-up of a small fleet takes seconds; ten times that, and more for each cluster, means that something hangs. */
const LIMITS: ProviderLimits = {
  setUpMs: 60_000,
  setUpPerClusterMs: 5_000,
  graceMs: 5_000,
  teardownMs: 30_000,
  teardownPerClusterMs: 1_000,
  separateUplinks: true,
};

export function createLabProvider(dependencies: LabDependencies): Provider {
  return {
    name: 'lab',
    features: [
      'l3.pod',
      'l3.hops',
      'l4.udp',
      'icmp',
      'l7.service',
      'dns',
      'dns.clusterset',
      'policy',
      'share-service',
      'wan.capture',
      'gateway.probe',
      'planned-addresses',
      'workload.privileged',
    ],
    handlers: [policyHandler, shareHandler],
    injectors: labInjectors,
    limits: LIMITS,
    check: checkMachine,
    create: (options) => createFleet(options, dependencies),
    attach: (run, options) => attachFleet(run, options, dependencies),
    observedVersions: observeVersions,
  };
}

interface LabFleet extends Fleet {
  readonly clusters: readonly LabCluster[];
}

async function createFleet(options: ProviderOptions, dependencies: LabDependencies): Promise<LabFleet> {
  refuseAmbiguousNames(options.names, options.run);
  const context = contextOf(newFleetState(options), options, dependencies);
  await makeFolders(context);
  const { step = untold } = options;
  await step({ what: 'network between the clusters' }, () =>
    buildNetns(context, wanNetns(options.run), renderWan),
  );
  await allEnded(
    options.names.map((name) => step({ what: 'gateway', cluster: name }, () => buildGateway(context, name))),
  );
  await context.ledger.add({
    description: `processes of run ${options.run}`,
    undo: { kind: 'kill-marked-processes', run: options.run },
  });
  await context.save();
  return fleetOf(context);
}

/** A gateway's namespace is called after its cluster, beside the one of the wan. */
function refuseAmbiguousNames(names: readonly string[], run: string): void {
  const clash = names.find((name) => gatewayNetns(run, name) === wanNetns(run));
  if (clash === undefined) return;
  throw new UserError(`a cluster of the lab cannot be called "${clash}"`, {
    where: '--clusters',
    remedy: 'choose another name: the network between the clusters has this one',
  });
}

function contextOf(state: FleetState, options: ProviderOptions, dependencies: LabDependencies): LabContext {
  return {
    state,
    ledger: options.ledger,
    signal: options.signal,
    dependencies,
    limit: limiter(AT_ONCE),
    save: shared(() => writeAtomically(fleetFile(state.run), JSON.stringify(state, undefined, 1), 0o600)),
  };
}

function fleetOf(context: LabContext): LabFleet {
  const { run, names, topology, plan, families } = context.state;
  const clusters: readonly LabCluster[] = names.map((name) => new LabCluster(context, name, () => clusters));
  return { run, clusters, topology, plan, families };
}

async function makeFolders({ ledger, state }: LabContext): Promise<void> {
  const folder = runtimeFolder(state.run);
  const parent = path.dirname(folder);
  // Runs at the same time share the folder above; the last one to go takes it along.
  await ledger.add({
    description: `folder ${parent}, when it is empty`,
    undo: {
      kind: 'run',
      command: ['sh', '-c', `rmdir ${quoteCommand([parent])} 2> /dev/null || true`],
    },
  });
  await ledger.add({ description: `folder ${folder}`, undo: { kind: 'remove-path', path: folder } });
  await Promise.all(state.names.map((name) => makePrivateFolder(clusterFolder(state.run, name))));
}

async function buildNetns(
  context: LabContext,
  netns: string,
  render: (netns: string) => string,
): Promise<void> {
  await context.ledger.add({
    description: `network namespace ${netns}`,
    undo: { kind: 'delete-netns', name: netns },
  });
  await context.limit(() => runScript(render(netns), context.signal));
}

function buildGateway(context: LabContext, cluster: string): Promise<void> {
  const { run, names, plan, families } = context.state;
  const addresses = gatewayAddresses(plan, families, cluster);
  return buildNetns(context, gatewayNetns(run, cluster), (netns) =>
    renderGateway({
      cluster,
      netns,
      wanNetns: wanNetns(run),
      index: names.indexOf(cluster),
      clusters: names.length,
      families,
      podAddresses: withPrefix(addresses.pods, rangesInUse(plan, families, cluster).pods),
      wanAddresses: withPrefix(addresses.wan, inUse(plan.wan, families)),
      nodeAddresses: addresses.node,
    }),
  );
}

/** Finds the fleet of a kept run as it is, broken or not, and changes nothing. */
async function attachFleet(
  run: string,
  options: ProviderOptions,
  dependencies: LabDependencies,
): Promise<Fleet> {
  const file = fleetFile(run);
  const text = await readIfPresent(file);
  if (text === undefined) {
    throw new UserError(`there is no lab of run ${run} on this machine`, {
      where: file,
      remedy: 'start one with `--keep`, and attach to the run id that it prints',
    });
  }
  const fleet = fleetOf(contextOf(parseFleetState(text, file), options, dependencies));
  const namespaces = [wanNetns(run), ...fleet.clusters.map(({ gateway }) => gateway.netns)];
  const present = await Promise.all(namespaces.map((name) => stillExists({ kind: 'delete-netns', name })));
  const gone = namespaces.filter((_, index) => !present[index]);
  if (gone.length > 0) {
    throw new UserError(`of the lab of run ${run} is gone: ${gone.join(', ')}`, {
      remedy: `remove the rest with \`mcnet-conformance clean ${run}\` and run again`,
    });
  }
  const { step = untold } = options;
  await inEach(fleet.clusters, step, 'workloads found', (cluster) => cluster.reconnect());
  return fleet;
}
