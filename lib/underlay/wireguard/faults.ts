/** Ways to break the tunnels on purpose. Each notes how to mend it in the ledger before anything is changed. */
import { addressAt, parseCidr } from '../../model/cidr.ts';
import type { FaultInjector, Fleet, Gateway } from '../../model/cluster.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import { nextHop } from '../../model/topology.ts';
import type { Clock } from '../../system/clock.ts';
import type { Command } from '../../system/commands.ts';
import { type Carrier, injectorOf, mtuInjector, prepareRestore } from '../faults.ts';
import { answers, gatewayOf, pollUntil, undoAt } from '../gateways.ts';
import { ROUTE_METRIC, familyOf, lines, rangesOf } from '../routing.ts';
import { configurationsOf, interfaceName, renderInterface, tunnelAddresses } from './configuration.ts';
import { HANDSHAKE_BUDGET_MS } from './join.ts';
import { generateKeyPair } from './keys.ts';
import { latestHandshakes, peersOf } from './links.ts';

const POLL_MS = 50;

function carrierOf(fleet: Fleet, cluster: string): Carrier {
  // MSS clamping lives in rules of its own, which these faults leave alone.
  const configuration = configurationsOf(fleet, { clampMss: false }).get(cluster);
  if (!configuration) throw new InternalError(`there is no cluster "${cluster}" in this fleet`);
  return { interface: configuration.interface, restore: renderInterface(configuration) };
}

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
const tunnelDown = (clock: Clock): FaultInjector =>
  injectorOf('tunnel-down', async ({ between: [from, to] }, fleet, ledger) => {
    const gateway = gatewayOf(fleet, from);
    const neighbour = nextHop(fleet.topology, from, to);
    const carrier = carrierOf(fleet, from);
    const restore = await prepareRestore(gateway, carrier, `tunnel interface down at ${from}`, ledger);
    await gateway.exec(['ip', 'link', 'set', 'dev', carrier.interface, 'down']);
    return {
      tookHold: async () => !(await answers(gateway, farEnd(fleet, neighbour))),
      async mend() {
        await restore();
        await awaitLink(gateway, fleet, neighbour, clock);
      },
    };
  });

/**
 * `wrong-peer-key`: the gateway `at` gets another public key for `peer` (or for the neighbour that leads there), of which
 * nobody has the private half; endpoint and allowed IPs stay. Neither end can begin a session with the other.
 */
const wrongPeerKey = (clock: Clock): FaultInjector =>
  injectorOf('wrong-peer-key', async (fault, fleet, ledger) => {
    const { at } = fault;
    const peer = nextHop(fleet.topology, at, fault.peer);
    const gateway = gatewayOf(fleet, at);
    const tunnel = interfaceName(fleet, at);
    const right = (await peersOf(gateway, fleet)).get(peer);
    const endpoint = configurationsOf(fleet, { clampMss: false })
      .get(at)
      ?.neighbours.find(({ cluster }) => cluster === peer)?.endpoint;
    if (!right || endpoint === undefined) throw new InternalError(`${at} has no tunnel to ${peer}`);
    const wrong = generateKeyPair().publicKey;
    const settings = `endpoint ${endpoint} persistent-keepalive ${right.keepalive} allowed-ips`.split(' ');
    const replace = (old: string, key: string): Command => {
      const words = ['peer', old, 'remove', 'peer', key, ...settings, right.allowedIps.join(',')];
      return ['wg', 'set', tunnel, ...words];
    };
    const mending = replace(wrong, right.publicKey);
    await ledger.add({ description: `wrong key of ${peer} at ${at}`, undo: undoAt(gateway, mending) });
    await gateway.exec(replace(right.publicKey, wrong));
    return {
      async tookHold() {
        const answered = await answers(gateway, farEnd(fleet, peer));
        const latest = await latestHandshakes(gateway, tunnel);
        return !answered && latest.get(wrong) === 0 && !latest.has(right.publicKey);
      },
      async mend() {
        await gateway.exec(mending);
        await awaitLink(gateway, fleet, peer, clock);
      },
    };
  });

/** Routing protocol number of leaked routes, so that exactly they can be flushed. Free in rt_protos(5). */
const LEAK_PROTOCOL = '213';

/**
 * `clear-text-route`: the gateway `from` gets routes to the ranges of `to` straight over the wan, better than those of
 * the tunnel, which stays up: what a forgotten static route does. The way back still takes the tunnel.
 */
const clearTextRoute: FaultInjector = injectorOf('clear-text-route', async ({ from, to }, fleet, ledger) => {
  const gateway = gatewayOf(fleet, from);
  const wan = gatewayOf(fleet, to).wanAddresses;
  const ranges = rangesOf(fleet, to).filter((range) => wan[familyOf(range)] !== undefined);
  const vias = [...new Set(ranges.map((range) => wan[familyOf(range)] as string))];
  const mending = vias.map((via): Command => [
    'ip',
    via.includes(':') ? '-6' : '-4',
    'route',
    'flush',
    'proto',
    LEAK_PROTOCOL,
    'via',
    via,
  ]);
  for (const command of mending) {
    await ledger.add({
      description: `clear-text routes from ${from} to ${to}`,
      undo: undoAt(gateway, command),
    });
  }
  await gateway.exec(['ip', '-batch', '-'], {
    input: lines(
      ranges.map(
        (range) =>
          `route replace ${range} via ${wan[familyOf(range)]} dev ${gateway.wanInterface} ` +
          `proto ${LEAK_PROTOCOL} metric ${ROUTE_METRIC / 2}`,
      ),
    ),
  });
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
    async mend() {
      for (const command of mending) await gateway.exec(command);
    },
  };
});

export const injectorsOf = (clock: Clock): readonly FaultInjector[] => [
  tunnelDown(clock),
  wrongPeerKey(clock),
  mtuInjector(carrierOf),
  clearTextRoute,
];
