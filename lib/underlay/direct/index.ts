/** Plain routes between the gateways over the wan: no tunnel, nothing encrypted. */
import type { Underlay } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { untold } from '../../model/steps.ts';
import { forEachOf, gatewayOf, showEach } from '../gateways.ts';
import { mtuInjector } from '../faults.ts';
import {
  type Network,
  type Place,
  ROUTE_METRIC,
  familyOf,
  lines,
  placesOf,
  rangesOf,
  renderClosed,
  renderForwarding,
  renderScript,
  renderSegments,
} from '../routing.ts';

const CONCURRENCY = 8;
/** Of the wan. */
const WAN_MTU = 1500;

/** For `ip -batch`: every range by way of the neighbour that leads there. */
export function renderRoutes(network: Network, name: string, place: Place): string {
  const gatewayAt = (cluster: string) => network.clusters.find((one) => one.name === cluster)?.gateway;
  const wan = gatewayAt(name)?.wanInterface;
  const others = network.clusters.map((cluster) => cluster.name).filter((other) => other !== name);
  return (
    renderClosed(others.flatMap((other) => rangesOf(network, other))) +
    lines(
      [...place.nextHops].flatMap(([destination, neighbour]) =>
        rangesOf(network, destination).map((range) => {
          const via = gatewayAt(neighbour)?.wanAddresses[familyOf(range)];
          if (via === undefined) {
            throw new InternalError(
              `the gateway of ${neighbour} has no ${familyOf(range)} address on the wan`,
            );
          }
          return `route replace ${range} via ${via} dev ${wan} metric ${ROUTE_METRIC}`;
        }),
      ),
    )
  );
}

export const direct: Underlay = {
  name: 'direct',
  features: [],
  requirements: () => ({ wan: true, pathMtu: WAN_MTU, hostPackages: ['iproute2', 'nftables'] }),
  async join(fleet, _ledger, step = untold) {
    await forEachOf([...placesOf(fleet)], CONCURRENCY, async ([name, place]) => {
      const gateway = gatewayOf(fleet, name);
      const rules = renderSegments(place, (cluster) => rangesOf(fleet, cluster));
      const script =
        renderScript(rules, renderRoutes(fleet, name, place)) +
        (place.transit ? renderForwarding(fleet.families, gateway.wanInterface) : '');
      await step({ what: 'routes', cluster: name }, () =>
        gateway.exec(['sh', '-e', '-s'], { input: script }),
      );
    });
  },
  injectors: [mtuInjector((fleet, cluster) => gatewayOf(fleet, cluster).wanInterface)],
  observedVersions: async () => ({}),
  diagnose: (gateway) =>
    showEach(gateway, {
      'routes.txt': ['ip', 'route', 'show', 'table', 'all'],
      'rules.txt': ['nft', 'list', 'ruleset'],
    }),
};
