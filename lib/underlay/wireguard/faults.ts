/** Ways to break the tunnels on purpose. Each notes how to mend it in the ledger before anything is changed. */
import { addressAt, parseCidr } from '../../model/cidr.ts';
import type { FaultInjector, Fleet, Gateway, Ledger } from '../../model/cluster.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import { type FaultOf, injectorOf } from '../../model/injection.ts';
import { nextHop } from '../../model/topology.ts';
import { type Clock, pollUntil } from '../../system/clock.ts';
import { quoteCommand } from '../../system/commands.ts';
import { belongingsOf, linkOf, mtuInjector, prepareMending, renderBelongings } from '../faults.ts';
import { answers, gatewayOf } from '../gateways.ts';
import { ROUTE_METRIC, familyOf, lines, rangesOf } from '../routing.ts';
import { interfaceName, tunnelAddresses } from './configuration.ts';
import { HANDSHAKE_BUDGET_MS } from './join.ts';
import { generateKeyPair } from './keys.ts';
import { type Peer, latestHandshakes, peersOf } from './links.ts';

const POLL_MS = 50;

/** Where a ping crosses exactly the link to this neighbour. */
function farEnd(fleet: Fleet, neighbour: string): string {
  const [address] = tunnelAddresses(fleet, neighbour);
  if (address === undefined) throw new InternalError(`the gateway of ${neighbour} has no tunnel address`);
  return address;
}

/** @throws UserError when the link is not back within the budget of a handshake */
async function awaitLink(gateway: Gateway, fleet: Fleet, neighbour: string, clock: Clock): Promise<void> {
  const address = farEnd(fleet, neighbour);
  if (await pollUntil(clock, HANDSHAKE_BUDGET_MS, POLL_MS, () => answers(gateway, address))) return;
  throw new UserError(
    `The tunnel between ${gateway.cluster} and ${neighbour} did not come back after it was mended`,
    {
      where: `gateway of ${gateway.cluster}`,
      remedy: `${gateway.shell} wg show ${interfaceName(fleet, gateway.cluster)}`,
    },
  );
}

/**
 * `tunnel-down`: sets the tunnel interface of the first cluster's gateway down, and tells nobody. The interface stays,
 * but the kernel takes its routes (and its IPv6 addresses) away: whatever route is next best for the other clusters'
 * ranges is used from then on, in clear text if there is one. That is the worst that a dead tunnel does in the field.
 * A gateway has one interface for all its tunnels, so the first cluster loses them all; the second cluster keeps its
 * own routes and sends into the void.
 */
const tunnelDown = (clock: Clock): FaultInjector => ({
  ...injectorOf('tunnel-down', async ({ fault, fleet, ledger }) => {
    const [from, to] = fault.between;
    const gateway = gatewayOf(fleet, from);
    const neighbour = nextHop(fleet.topology, from, to);
    const tunnel = interfaceName(fleet, from);
    const address = farEnd(fleet, neighbour);
    const [belongings, hadLink] = await Promise.all([
      belongingsOf(gateway, tunnel),
      answers(gateway, address),
    ]);
    const restore = belongings.up
      ? `ip link set dev ${tunnel} up\n${renderBelongings(tunnel, belongings)}`
      : '';
    const mend = await prepareMending(gateway, fault, restore, ledger);
    await gateway.exec(['ip', 'link', 'set', 'dev', tunnel, 'down']);
    return {
      async tookHold() {
        // Silence alone may be the doing of the far end.
        const [answered, link] = await Promise.all([answers(gateway, address), linkOf(gateway, tunnel)]);
        return !answered && !link.up;
      },
      async mend() {
        await mend();
        if (hadLink) await awaitLink(gateway, fleet, neighbour, clock);
      },
    };
  }),
  isSame: (one, other) =>
    one.kind === 'tunnel-down' && other.kind === 'tunnel-down' && one.between[0] === other.between[0],
});

/**
 * `wrong-peer-key`: the gateway `at` gets another public key for `peer` (or for the neighbour that leads there), of which
 * nobody has the private half; endpoint and allowed IPs stay. Neither end can begin a session with the other.
 */
const wrongPeerKey = (clock: Clock): FaultInjector =>
  injectorOf('wrong-peer-key', async ({ fault, fleet, ledger }) => {
    const { at } = fault;
    const peer = nextHop(fleet.topology, at, fault.peer);
    const gateway = gatewayOf(fleet, at);
    const tunnel = interfaceName(fleet, at);
    const address = farEnd(fleet, peer);
    const [peers, hadLink] = await Promise.all([peersOf(gateway, fleet), answers(gateway, address)]);
    const right = peers.get(peer);
    if (!right) throw new InternalError(`${at} has no tunnel to ${peer}`);
    const wrong = generateKeyPair().publicKey;
    const restore = renderReplacement(tunnel, wrong, right.publicKey, right);
    const mend = await prepareMending(gateway, fault, restore, ledger);
    await gateway.exec(['sh', '-e', '-s'], {
      input: renderReplacement(tunnel, right.publicKey, wrong, right),
    });
    return {
      async tookHold() {
        const answered = await answers(gateway, address);
        const latest = await latestHandshakes(gateway, tunnel);
        return !answered && latest.get(wrong) === 0 && !latest.has(right.publicKey);
      },
      async mend() {
        await mend();
        if (hadLink) await awaitLink(gateway, fleet, peer, clock);
      },
    };
  });

/** Lines for a shell that give a peer another public key, unless somebody else has done so. Hold the pre-shared key. */
function renderReplacement(tunnel: string, old: string, key: string, peer: Peer): string {
  const words = ['peer', old, 'remove', 'peer', key];
  if (peer.endpoint !== undefined) words.push('endpoint', peer.endpoint);
  words.push('persistent-keepalive', peer.keepalive, 'allowed-ips', peer.allowedIps.join(','));
  const set = quoteCommand(['wg', 'set', tunnel, ...words]);
  return lines([
    `if wg show ${tunnel} peers | grep -qxF ${quoteCommand([old])}; then`,
    peer.presharedKey === undefined
      ? set
      : `${set} preshared-key /dev/stdin <<'END'\n${peer.presharedKey}\nEND`,
    'fi',
  ]);
}

/** Routing protocol numbers of leaked routes, so that exactly they can be flushed. Free in rt_protos(5). */
const LEAK_PROTOCOL = '213';
const FALLBACK_PROTOCOL = '214';

interface Leak {
  readonly gateway: Gateway;
  readonly ranges: readonly string[];
  readonly mend: () => Promise<void>;
}

/** Routes from `from` to the ranges of `to` straight over the wan. */
async function leak(
  fault: FaultOf<'clear-text-route' | 'clear-text-fallback'>,
  { protocol, metric }: { protocol: string; metric: number },
  fleet: Fleet,
  ledger: Ledger,
): Promise<Leak> {
  const gateway = gatewayOf(fleet, fault.from);
  const wan = gatewayOf(fleet, fault.to).wanAddresses;
  const ranges = rangesOf(fleet, fault.to).filter((range) => wan[familyOf(range)] !== undefined);
  const vias = [...new Set(ranges.map((range) => wan[familyOf(range)] as string))];
  const flush = vias.map(
    (via) => `ip ${via.includes(':') ? '-6' : '-4'} route flush proto ${protocol} via ${via}`,
  );
  const mend = await prepareMending(gateway, fault, lines(flush), ledger);
  await gateway.exec(['ip', '-batch', '-'], {
    input: lines(
      ranges.map(
        (range) =>
          `route add ${range} via ${wan[familyOf(range)]} dev ${gateway.wanInterface} ` +
          `proto ${protocol} metric ${metric}`,
      ),
    ),
  });
  return { gateway, ranges, mend };
}

/**
 * `clear-text-route`: the gateway `from` gets routes to the ranges of `to` straight over the wan, better than those of
 * the tunnel, which stays up: what a forgotten static route does. The way back still takes the tunnel.
 */
const clearTextRoute: FaultInjector = injectorOf('clear-text-route', async ({ fault, fleet, ledger }) => {
  const best = { protocol: LEAK_PROTOCOL, metric: ROUTE_METRIC / 2 };
  const { gateway, ranges, mend } = await leak(fault, best, fleet, ledger);
  return {
    async tookHold() {
      for (const range of ranges) {
        const target = addressAt(parseCidr(range), 1);
        const [route] = JSON.parse(await gateway.exec(['ip', '-json', 'route', 'get', target])) as {
          dev?: string;
        }[];
        if (route?.dev !== gateway.wanInterface) return false;
      }
      return ranges.length > 0;
    },
    mend,
  };
});

/** `clear-text-fallback`: the same routes, but worse than those of the tunnel: they wait until it is gone. */
const clearTextFallback: FaultInjector = injectorOf(
  'clear-text-fallback',
  async ({ fault, fleet, ledger }) => {
    const worse = { protocol: FALLBACK_PROTOCOL, metric: 2 * ROUTE_METRIC };
    const { gateway, ranges, mend } = await leak(fault, worse, fleet, ledger);
    return {
      async tookHold() {
        const shown = await Promise.all(
          ['-4', '-6'].map((family) =>
            gateway.exec(['ip', family, 'route', 'show', 'proto', FALLBACK_PROTOCOL]),
          ),
        );
        const present = shown.join('').split(/\s+/);
        return ranges.length > 0 && ranges.every((range) => present.includes(range));
      },
      mend,
    };
  },
);

export const injectorsOf = (clock: Clock): readonly FaultInjector[] => [
  tunnelDown(clock),
  wrongPeerKey(clock),
  mtuInjector(interfaceName),
  clearTextRoute,
  clearTextFallback,
];
