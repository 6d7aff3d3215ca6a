/** Encrypted tunnels between the gateways: WireGuard of the kernel, or wireguard-go. */
import type { Gateway, Underlay } from '../../model/cluster.ts';
import { type Clock, systemClock } from '../../system/clock.ts';
import { showEach } from '../gateways.ts';
import { LISTEN_PORT, TUNNEL_MTU } from './configuration.ts';
import { injectorsOf } from './faults.ts';
import { HANDSHAKE_BUDGET_MS, join } from './join.ts';
import { findInterface, handshakeAges } from './links.ts';

export interface WireguardOptions {
  /** Lower the MSS of TCP connections that cross the tunnel; without it they rely on path MTU discovery. Default true. */
  readonly clampMss?: boolean;
  /** How long every link may take for its first handshake. */
  readonly handshakeBudgetMs?: number;
  readonly clock?: Clock;
}

export function createWireguard({
  clampMss = true,
  handshakeBudgetMs = HANDSHAKE_BUDGET_MS,
  clock = systemClock,
}: WireguardOptions = {}): Underlay {
  return {
    name: 'wireguard',
    features: ['tunnel.encrypted'],
    requirements: () => ({
      wan: true,
      pathMtu: TUNNEL_MTU,
      hostPackages: ['iproute2', 'iputils-ping', 'nftables', 'wireguard-go', 'wireguard-tools'],
    }),
    join: (fleet, ledger, step) =>
      join(fleet, ledger, { clampMss, handshakeBudgetMs, clock, ...(step && { step }) }),
    injectors: injectorsOf(clock),
    async observedVersions(fleet) {
      const gateway = fleet.clusters[0]?.gateway;
      const found = gateway && (await findInterface(gateway));
      return found ? { wireguard: await versionAt(gateway, found.kernel) } : {};
    },
    async diagnose(gateway) {
      const found = await findInterface(gateway);
      return showEach(gateway, {
        ...(found && { 'wireguard.txt': ['wg', 'show', found.name] }),
        'routes.txt': ['ip', 'route', 'show', 'table', 'all'],
        'rules.txt': ['nft', 'list', 'ruleset'],
      });
    },
    wire: {
      tunnelFilter: `udp port ${LISTEN_PORT}`,
      handshakes: (gateway, fleet) => handshakeAges(gateway, fleet, clock.now()),
    },
  };
}

async function versionAt(gateway: Gateway, kernel: boolean): Promise<string> {
  if (kernel) return `kernel ${(await gateway.exec(['uname', '-r'])).trim()}`;
  const shown = await gateway.exec(['wireguard-go', '--version']);
  return `wireguard-go ${/v(\d[\w.]*)/.exec(shown)?.[1] ?? 'of unknown version'}`;
}
