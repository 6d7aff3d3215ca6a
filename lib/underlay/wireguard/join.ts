/** Puts the tunnels in place and proves each link. */
import { availableParallelism } from 'node:os';
import type { Fleet, Gateway, Ledger } from '../../model/cluster.ts';
import { InternalError, UserError, messageOf } from '../../model/errors.ts';
import { type Step, untold } from '../../model/steps.ts';
import { type Clock, pollUntil } from '../../system/clock.ts';
import { type Command, quoteCommand } from '../../system/commands.ts';
import { forEachOf, gatewayOf } from '../gateways.ts';
import { renderForwarding, renderScript } from '../routing.ts';
import {
  LISTEN_PORT,
  type Configuration,
  configurationsOf,
  keepaliveWords,
  keysOf,
  renderInterface,
  renderPeers,
  renderRoutes,
} from './configuration.ts';
import { type KeyPair, generateKeyPair } from './keys.ts';
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
  readonly step?: Step;
}

/** wireguard-go opens its UDP socket some milliseconds after the interface is up. Whoever waits in vain has no handshake either. */
const UNTIL_IT_LISTENS = `
looks=0
until grep -qi ":${LISTEN_PORT.toString(16)} " /proc/net/udp /proc/net/udp6 2> /dev/null || [ $looks -ge 100 ]; do
  looks=$((looks + 1))
  sleep 0.02
done
# Its peers begin a moment after its socket.
sleep 0.1
`;

/** @throws UserError naming both ends of every link that has no handshake within the budget */
export async function join(fleet: Fleet, ledger: Ledger, options: JoinOptions): Promise<void> {
  const { step = untold } = options;
  const configurations = configurationsOf(fleet, options);
  const keys = new Map([...configurations.keys()].map((cluster) => [cluster, generateKeyPair()]));
  const inOrder = [...configurations.values()];
  const createInterface = await interfaceMaker(fleet, ledger, inOrder);
  const setUp = async (configuration: Configuration): Promise<void> => {
    const gateway = gatewayOf(fleet, configuration.cluster);
    await createInterface(gateway, configuration);
    const file = await gateway.writeFile('wireguard.conf', renderPeers(configuration, keys), 0o600);
    const script =
      `${quoteCommand(['wg', 'setconf', configuration.interface, file])}\n` +
      renderScript(configuration.rules, renderInterface(configuration)) +
      UNTIL_IT_LISTENS;
    await gateway.exec(['sh', '-e', '-s'], { input: script });
  };
  await forEachOf(inOrder, CONCURRENCY, (configuration) =>
    step({ what: 'tunnel interface', cluster: configuration.cluster }, () => setUp(configuration)),
  );
  // Only when everybody listens: a handshake that meets nobody is repeated after 5 s.
  await forEachOf(inOrder, CONCURRENCY, async (configuration) => {
    const words = keepaliveWords(configuration, keys);
    if (words.length === 0) return;
    await gatewayOf(fleet, configuration.cluster).exec(['wg', 'set', configuration.interface, ...words]);
  });
  await step({ what: 'handshakes' }, () => proveLinks(fleet, inOrder, keys, options));
  // Only now: until then nothing leads into a tunnel. A packet would begin a handshake as well, from its own end, and of two
  // that cross each other neither comes about: both are repeated after 5 s.
  await forEachOf(inOrder, CONCURRENCY, async (configuration) => {
    const script =
      renderScript('', renderRoutes(configuration)) +
      (configuration.transit ? renderForwarding(fleet.families, configuration.interface) : '');
    await step({ what: 'routes into the tunnel', cluster: configuration.cluster }, () =>
      gatewayOf(fleet, configuration.cluster).exec(['sh', '-e', '-s'], { input: script }),
    );
  });
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
): Promise<InterfaceMaker> {
  const inKernel: InterfaceMaker = async (gateway, { interface: name }) => {
    await gateway.exec(['ip', 'link', 'add', 'dev', name, 'type', 'wireguard']);
  };
  const [first] = configurations;
  if (!first) throw new InternalError('a fleet without clusters cannot be joined');
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
  const crowded = fleet.clusters.length >= availableParallelism();
  return (gateway, { interface: name }) => startWireguardGo(gateway, name, crowded);
}

/**
 * The kernel would carry packets whatever runs beside it; one of a hundred processes with the same claim to the processor
 * keeps them for seconds, a hub all the more. Where the kernel groups processes by session (sched(7), autogroup), the
 * claim is the group's. Where none of it is allowed it goes on as it is.
 */
const BEFORE_OTHERS: Command = [
  'sh',
  '-c',
  'echo -10 > /proc/self/autogroup; exec nice -n -10 "$@"',
  'before-others',
];
/** And yet without interrupting them for every packet: those that come together are then carried together. */
const IN_BATCHES: Command = ['chrt', '--batch', '0'];

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

/** Asked where it runs: while a hundred of them start, a command for each look would take the time that they need. */
const LOOK_MS = 50;
const UNTIL_IT_ANSWERS = `
looks=0
until wg show "$1" listen-port > /dev/null 2>&1; do
  looks=$((looks + 1))
  [ $looks -lt ${DAEMON_BUDGET_MS / LOOK_MS} ] || exec wg show "$1" listen-port
  sleep ${LOOK_MS / 1_000}
done`;

/**
 * @param crowded there are more gateways than processors. The stages of wireguard-go, which hand each packet on from thread
 * to thread, then share one thread, and packets are carried before others and in batches: that takes most of the processor
 * time away.
 */
async function startWireguardGo(gateway: Gateway, name: string, crowded: boolean): Promise<void> {
  const plain: Command = [...AS_NOBODY, 'wireguard-go', '-f', name];
  const command: Command = crowded ? [...BEFORE_OTHERS, ...IN_BATCHES, ...plain] : plain;
  await gateway.startDaemon('wireguard-go', command, {
    LOG_LEVEL: 'error',
    // Also silences its advice to use the kernel's.
    WG_PROCESS_FOREGROUND: '1',
    ...(crowded && { GOMAXPROCS: '1' }),
  });
  try {
    await gateway.exec(['sh', '-c', UNTIL_IT_ANSWERS, 'sh', name], { timeoutMs: 2 * DAEMON_BUDGET_MS });
  } catch (error) {
    throw new UserError(`wireguard-go did not start within ${DAEMON_BUDGET_MS / 1_000} s`, {
      where: `gateway of ${gateway.cluster}`,
      remedy: 'It needs /dev/net/tun, CAP_NET_ADMIN and an inotify instance: its log says what is missing',
      cause: error,
    });
  }
}

/**
 * The first keepalive is the packet along each link that makes it shake hands. A link is read at the end that answered:
 * that one notes the handshake only once the other has confirmed it.
 */
async function proveLinks(
  fleet: Fleet,
  configurations: readonly Configuration[],
  keys: ReadonlyMap<string, KeyPair>,
  options: JoinOptions,
): Promise<void> {
  let pending = configurations.map(({ cluster, interface: tunnel, neighbours }) => ({
    cluster,
    tunnel,
    peers: neighbours.filter(({ keepaliveSeconds }) => keepaliveSeconds === 0).map((peer) => peer.cluster),
  }));
  const proved = await pollUntil(options.clock, options.handshakeBudgetMs, POLL_MS, async () => {
    pending = pending.filter(({ peers }) => peers.length > 0);
    await forEachOf(pending, CONCURRENCY, async (entry) => {
      const seen = await latestHandshakes(gatewayOf(fleet, entry.cluster), entry.tunnel);
      entry.peers = entry.peers.filter((peer) => !seen.get(keysOf(keys, peer).publicKey));
    });
    return pending.every(({ peers }) => peers.length === 0);
  });
  if (proved) return;
  const silent = pending.flatMap(({ cluster, peers }) => peers.map((peer) => `${cluster} and ${peer}`));
  throw new UserError(
    `WireGuard had no handshake within ${options.handshakeBudgetMs / 1_000} s between ${silent.join(', ')}`,
    {
      where: 'the network between the gateways',
      remedy: 'See that UDP port 51820 passes both ways between these gateways',
    },
  );
}
