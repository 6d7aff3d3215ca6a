/** Brings up the containers and networks of a fleet. Whatever is made stands in the ledger first. */
import path from 'node:path';
import type { ClusterRanges } from '../../model/addressing.ts';
import { type IpFamily, type PerFamily, containsAddress, parseCidr } from '../../model/cidr.ts';
import type { Ledger, ProviderOptions } from '../../model/cluster.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import { CommandError, quoteCommand, runCommand } from '../../system/commands.ts';
import { makePrivateFolder, runtimeFolder, writeAtomically } from '../../system/files.ts';
import { RUN_MARK } from '../../system/processes.ts';
import { withinSignal } from '../../system/withinSignal.ts';
import { renderKindConfiguration } from './configuration.ts';
import type { KindClusterState, KindDependencies } from './context.ts';
import { createNetwork, docker, hostRoutes, insideContainer, networkSubnets } from './docker.ts';
import { kindCommand } from './machine.ts';
import {
  EXPIRY_LABEL,
  RUN_LABEL,
  clusterName,
  controlPlaneName,
  gatewayName,
  kubeconfigFile,
  nodeLabel,
  wanName,
} from './names.ts';
import { type NetworkBlocks, chooseBlocks, gatewayAddresses, wanAddresses } from './ranges.ts';
import { QUIET_SETTINGS } from './routes.ts';

/** With the pull of a node image of half a gigabyte over a slow line. */
const CREATE_MS = 15 * 60_000;
const ATTEMPTS = 3;

/** Folders and processes that belong to the run as a whole. */
export async function prepareRun({ run, names, ledger }: ProviderOptions): Promise<void> {
  const folder = runtimeFolder(run);
  const parent = path.dirname(folder);
  await ledger.add({
    description: `folder ${parent}, when it is empty`,
    undo: { kind: 'run', command: ['sh', '-c', `rmdir ${quoteCommand([parent])} 2> /dev/null || true`] },
  });
  await ledger.add({ description: `folder ${folder}`, undo: { kind: 'remove-path', path: folder } });
  await Promise.all(names.map((name) => makePrivateFolder(path.dirname(kubeconfigFile(run, name)))));
}

/** Notes every container to come, networks first: they can only go when nothing is on them any more. */
export async function noteContainers({ run, names, ledger }: ProviderOptions): Promise<void> {
  for (const name of names) {
    await ledger.add({
      description: `kind cluster ${clusterName(run, name)}`,
      undo: { kind: 'delete-containers', label: nodeLabel(run, name) },
    });
  }
  await ledger.add({
    description: `gateway containers of run ${run}`,
    undo: { kind: 'delete-containers', label: `${RUN_LABEL}=${run}` },
  });
  await ledger.add({
    description: `processes of run ${run}`,
    undo: { kind: 'kill-marked-processes', run },
  });
}

export const labelsOf = (run: string, expiresAt: string): string[] => [
  `${RUN_LABEL}=${run}`,
  `${EXPIRY_LABEL}=${expiresAt}`,
];

/** Networks in blocks that nothing on this machine uses; somebody else may take one between our look and our try. */
export async function createNetworks(
  options: ProviderOptions,
  labels: readonly string[],
): Promise<NetworkBlocks> {
  const { run, names, ledger, signal } = options;
  const all = [wanName(run), ...names.map((name) => clusterName(run, name))];
  for (const name of all) await noteNetwork(ledger, name);
  for (let attempt = 1; ; attempt++) {
    const blocks = chooseBlocks(options.plan, options.families, [
      ...(await networkSubnets()),
      ...(await hostRoutes()),
    ]);
    try {
      await createNetwork(wanName(run), blocks.wan, { labels, outside: false });
      for (const name of names) {
        const subnets = blocks.nodes[name] as PerFamily<string>;
        signal.throwIfAborted();
        await createNetwork(clusterName(run, name), subnets, { labels, outside: true });
      }
      return blocks;
    } catch (error) {
      signal.throwIfAborted();
      const raced = /overlap/i.test(messageOf(error)) && attempt < ATTEMPTS;
      if (!raced) throw networkError(error);
      await Promise.all(all.map((name) => docker(['network', 'rm', name]).catch(() => undefined)));
    }
  }
}

const noteNetwork = (ledger: Ledger, name: string): Promise<void> =>
  ledger.add({ description: `Docker network ${name}`, undo: { kind: 'delete-docker-network', name } });

const networkError = (error: unknown): UserError =>
  new UserError(`A Docker network could not be made: ${messageOf(error)}`, {
    where: 'this machine',
    remedy: 'See `docker network ls`: there may be too many networks, or one in the way',
    cause: error,
  });

/** Creates one cluster; its kubeconfig is a file of the run, never the user's. */
export async function createCluster(
  options: ProviderOptions,
  name: string,
  ranges: ClusterRanges,
  dependencies: KindDependencies,
): Promise<void> {
  const { run, families, requirements, signal } = options;
  const { kubernetes, images } = dependencies;
  const configuration = renderKindConfiguration({
    name: clusterName(run, name),
    ranges,
    families,
    nodes: kubernetes.nodes,
    defaultCni: kubernetes.cni === 'default' && requirements.kubernetes?.cni !== 'none',
    kubeProxy: requirements.kubernetes?.kubeProxy ?? 'kept',
  });
  const file = path.join(path.dirname(kubeconfigFile(run, name)), 'kind.json');
  await writeAtomically(file, configuration, 0o600);
  const image = images['node'];
  try {
    const creating = runCommand(
      [
        kindCommand(dependencies),
        'create',
        'cluster',
        '--retain',
        ...['--name', clusterName(run, name)],
        ...['--config', file],
        ...['--kubeconfig', kubeconfigFile(run, name)],
        ...(image === undefined ? [] : ['--image', image]),
      ],
      {
        timeoutMs: CREATE_MS,
        withDescendants: true,
        environment: { KIND_EXPERIMENTAL_DOCKER_NETWORK: clusterName(run, name), [RUN_MARK]: run },
      },
    );
    // The clean-up ends it, which knows what the engine is about to make for it (`kill-marked-processes`).
    await withinSignal(creating, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw await clusterError(error, run, name);
  }
}

async function clusterError(failure: unknown, run: string, name: string): Promise<UserError> {
  const output = failure instanceof CommandError ? failure.output : messageOf(failure);
  const log = await docker(['logs', '--tail', '15', controlPlaneName(run, name)]).catch(() => '');
  const [first = 'kind said nothing of the reason'] = /^ERROR: .*$/m.exec(output) ?? [];
  return new UserError(`Cluster ${name} could not be created: ${first.replace('ERROR: ', '')}`, {
    where: clusterName(run, name),
    remedy:
      'See that memory and disk suffice (`mcnet-conformance doctor --provider kind`) and that the node image fits this kind; what the node said: ' +
      (log.trim().split('\n').slice(-3).join(' | ') || 'nothing'),
    cause: failure,
  });
}

/** Addresses of a container on a network of the engine. */
export async function addressesOn(container: string, network: string): Promise<PerFamily<string>> {
  const shown = await docker([
    'container',
    'inspect',
    '--format',
    '{{json .NetworkSettings.Networks}}',
    container,
  ]);
  const networks = JSON.parse(shown) as Record<string, { IPAddress?: string; GlobalIPv6Address?: string }>;
  const found = networks[network];
  return {
    ...(found?.IPAddress && { ipv4: found.IPAddress }),
    ...(found?.GlobalIPv6Address && { ipv6: found.GlobalIPv6Address }),
  };
}

interface Link {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local: string }[];
}

/** A container on exactly two networks; which of them is which interface is for the engine to choose. */
export async function createGateway(
  options: ProviderOptions,
  name: string,
  wish: { readonly image: string; readonly blocks: NetworkBlocks; readonly labels: readonly string[] },
): Promise<KindClusterState['gateway']> {
  const { run, names, families, signal } = options;
  const nodeBlock = wish.blocks.nodes[name] as PerFamily<string>;
  const addresses = {
    node: gatewayAddresses(nodeBlock),
    wan: wanAddresses(wish.blocks.wan, names.indexOf(name)),
  };
  const container = gatewayName(run, name);
  await docker(
    [
      'create',
      '--privileged',
      ...['--name', container, '--hostname', `${name}-gateway`],
      ...['--network', clusterName(run, name), ...ipWords(addresses.node)],
      ...wish.labels.flatMap((label) => ['--label', label]),
      ...Object.entries({ ...QUIET_SETTINGS, ...ROUTER_SETTINGS, ...ipv6Settings(families) }).flatMap(
        ([key, value]) => ['--sysctl', `${key}=${value}`],
      ),
      ...['--entrypoint', 'sleep'],
      wish.image,
      'infinity',
    ],
    // Not ended by the signal: the engine would go on, and the clean-up would not find what comes later.
    { timeoutMs: CREATE_MS },
  );
  signal.throwIfAborted();
  await docker(['network', 'connect', ...ipWords(addresses.wan), wanName(run), container]);
  await docker(['start', container]);
  const shown = await runCommand(insideContainer(container, ['ip', '-json', 'address', 'show']));
  const links = JSON.parse(shown) as Link[];
  return {
    nodeAddresses: addresses.node,
    wanAddresses: addresses.wan,
    clusterInterface: interfaceIn(links, nodeBlock),
    wanInterface: interfaceIn(links, wish.blocks.wan),
  };
}

const ROUTER_SETTINGS = {
  'net.ipv4.ip_forward': '1',
  'net.ipv4.ping_group_range': '0 2147483647',
};

const ipv6Settings = (families: readonly IpFamily[]): Record<string, string> =>
  families.includes('ipv6')
    ? {
        'net.ipv6.conf.all.disable_ipv6': '0',
        'net.ipv6.conf.all.forwarding': '1',
        'net.ipv6.icmp.ratelimit': '0',
      }
    : {};

const ipWords = ({ ipv4, ipv6 }: PerFamily<string>): string[] => [
  ...(ipv4 === undefined ? [] : ['--ip', ipv4]),
  ...(ipv6 === undefined ? [] : ['--ip6', ipv6]),
];

function interfaceIn(links: readonly Link[], block: PerFamily<string>): string {
  const ranges = Object.values(block).map(parseCidr);
  const found = links.find(({ addr_info: addresses }) =>
    addresses.some(({ local }) => ranges.some((range) => containsAddress(range, local))),
  );
  if (!found) throw new Error(`no interface has an address of ${Object.values(block).join(', ')}`);
  return found.ifname;
}
