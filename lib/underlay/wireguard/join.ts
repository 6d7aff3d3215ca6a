/** Puts the tunnels in place and proves each link. */
import type { Fleet, Gateway, Ledger } from '../../model/cluster.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import type { Clock } from '../../system/clock.ts';
import { type Command, quoteCommand } from '../../system/commands.ts';
import { forEachOf, gatewayOf, pollUntil } from '../gateways.ts';
import { renderForwarding, renderScript } from '../routing.ts';
import { type Configuration, configurationsOf, renderInterface, renderPeers } from './configuration.ts';
import { generateKeyPair } from './keys.ts';
import { latestHandshakes } from './links.ts';

/** Gateways configured at once: enough to keep the processors busy, few enough not to starve the handshakes. */
const CONCURRENCY = 8;
/** wireguard-go opens its socket within some milliseconds; a machine that starts a hundred may need seconds. */
const DAEMON_BUDGET_MS = 10_000;
const POLL_MS = 20;
/** Three tries: WireGuard repeats a handshake after 5 s (REKEY_TIMEOUT in its paper, section 6.1). */
export const HANDSHAKE_BUDGET_MS = 15_000;
/** Where both wg and wireguard-go have it compiled in. */
const SOCKET_FOLDER = '/var/run/wireguard';

export interface JoinOptions {
  readonly clampMss: boolean;
  readonly handshakeBudgetMs: number;
  readonly clock: Clock;
}

/** @throws UserError naming both ends of every link that has no handshake within the budget */
export async function join(fleet: Fleet, ledger: Ledger, options: JoinOptions): Promise<void> {
  const configurations = configurationsOf(fleet, options);
  const keys = new Map([...configurations.keys()].map((cluster) => [cluster, generateKeyPair()]));
  // The hub first: whoever comes up later begins the handshake with one that already listens.
  const inOrder = [...configurations.values()].toSorted(
    (a, b) => Number(b.cluster === fleet.topology.hub) - Number(a.cluster === fleet.topology.hub),
  );
  const [first, ...others] = inOrder;
  if (!first) return;

  const createInterface = await interfaceMaker(fleet, ledger, inOrder, options.clock);
  const setUp = async (configuration: Configuration): Promise<void> => {
    const gateway = gatewayOf(fleet, configuration.cluster);
    await createInterface(gateway, configuration);
    const file = await gateway.writeFile('wireguard.conf', renderPeers(configuration, keys), 0o600);
    const script =
      `${quoteCommand(['wg', 'setconf', configuration.interface, file])}\n` +
      renderScript(configuration.rules, renderInterface(configuration)) +
      (configuration.transit ? renderForwarding(fleet.families, configuration.interface) : '');
    await gateway.exec(['sh', '-e', '-s'], { input: script });
  };
  await setUp(first);
  await forEachOf(others, CONCURRENCY, setUp);

  const publicKeys = new Map([...keys].map(([cluster, { publicKey }]) => [cluster, publicKey]));
  await proveLinks(fleet, inOrder, publicKeys, options);
}

type InterfaceMaker = (gateway: Gateway, configuration: Configuration) => Promise<void>;

/**
 * The kernel's WireGuard where it is there (found out at the first gateway: they share a kernel), else wireguard-go.
 * Kernel interfaces vanish with their gateway and need no entry in the ledger; wireguard-go's sockets lie outside.
 */
async function interfaceMaker(
  fleet: Fleet,
  ledger: Ledger,
  configurations: readonly Configuration[],
  clock: Clock,
): Promise<InterfaceMaker> {
  const inKernel: InterfaceMaker = async (gateway, { interface: name }) => {
    await gateway.exec(['ip', 'link', 'add', 'dev', name, 'type', 'wireguard']);
  };
  const first = configurations[0] as Configuration;
  try {
    await inKernel(gatewayOf(fleet, first.cluster), first);
    return async (gateway, configuration) => {
      if (configuration !== first) await inKernel(gateway, configuration);
    };
  } catch (error) {
    if (!/unknown device type|not supported/i.test(messageOf(error))) throw error;
  }
  const sockets = configurations.map(({ interface: name }) => `${SOCKET_FOLDER}/${name}.sock`);
  await ledger.add({
    description: `control sockets of wireguard-go: ${sockets.join(' ')}`,
    undo: { kind: 'run', command: ['rm', '-f', ...sockets] },
  });
  return (gateway, { interface: name }) => startWireguardGo(gateway, name, clock);
}

/**
 * Without root's other rights, and for the sake of numbers: every wireguard-go holds an inotify instance, of which a user
 * has 128 by default (fs.inotify.max_user_instances), and a machine's services have used up some of root's.
 * CAP_DAC_OVERRIDE opens /dev/net/tun and the folder of the sockets.
 */
const CAPABILITIES = '+net_admin,+dac_override';
const AS_NOBODY: Command = [
  'setpriv',
  '--reuid=65534',
  '--clear-groups',
  `--inh-caps=${CAPABILITIES}`,
  `--ambient-caps=${CAPABILITIES}`,
  '--',
];

async function startWireguardGo(gateway: Gateway, name: string, clock: Clock): Promise<void> {
  await gateway.startDaemon('wireguard-go', [...AS_NOBODY, 'wireguard-go', '-f', name], {
    LOG_LEVEL: 'error',
    // Also silences its advice to use the kernel's.
    WG_PROCESS_FOREGROUND: '1',
  });
  let lastError: unknown;
  const ready = await pollUntil(clock, DAEMON_BUDGET_MS, POLL_MS, () =>
    gateway.exec(['wg', 'show', name, 'listen-port']).then(
      () => true,
      (error: unknown) => {
        lastError = error;
        return false;
      },
    ),
  );
  if (ready) return;
  throw new UserError(`wireguard-go did not start within ${DAEMON_BUDGET_MS / 1_000} s`, {
    where: `gateway of ${gateway.cluster}`,
    remedy: 'It needs /dev/net/tun, CAP_NET_ADMIN and an inotify instance: its log says what is missing',
    cause: lastError,
  });
}

/**
 * The keepalive that every end sends as it comes up is the packet that makes a link shake hands. Each link is read at
 * the end that was configured first: that one answered the handshake, and notes it only once the other has confirmed it.
 */
async function proveLinks(
  fleet: Fleet,
  inOrder: readonly Configuration[],
  publicKeys: ReadonlyMap<string, string>,
  options: JoinOptions,
): Promise<void> {
  const position = new Map(inOrder.map(({ cluster }, index) => [cluster, index]));
  const later = (a: string, b: string): boolean => (position.get(a) ?? 0) < (position.get(b) ?? 0);
  let pending = inOrder.map((configuration) => ({
    configuration,
    peers: configuration.neighbours
      .map(({ cluster }) => cluster)
      .filter((peer) => later(configuration.cluster, peer)),
  }));
  const proved = await pollUntil(options.clock, options.handshakeBudgetMs, POLL_MS, async () => {
    pending = pending.filter(({ peers }) => peers.length > 0);
    await forEachOf(pending, CONCURRENCY, async (entry) => {
      const { cluster, interface: name } = entry.configuration;
      const seen = await latestHandshakes(gatewayOf(fleet, cluster), name);
      entry.peers = entry.peers.filter((peer) => !seen.get(publicKeys.get(peer) as string));
    });
    return pending.every(({ peers }) => peers.length === 0);
  });
  if (proved) return;
  const silent = pending.flatMap(({ configuration, peers }) =>
    peers.map((peer) => `${configuration.cluster} and ${peer}`),
  );
  throw new UserError(
    `WireGuard had no handshake within ${options.handshakeBudgetMs / 1_000} s between ${silent.join(', ')}`,
    {
      where: 'the network between the gateways',
      remedy: 'See that UDP port 51820 passes both ways between these gateways',
    },
  );
}
