/** Consul: clusters as peers of each other, a mesh gateway in each, and a proxy for each service of a workload. */
import { CONVERGENCE_MS } from '../../model/budgets.ts';
import type { Feature, Fleet, Profile } from '../../model/cluster.ts';
import { localBuildsOf } from '../common/images.ts';
import { vendorChart } from './chart.ts';
import { Peers, asKubernetes } from './clusters.ts';
import { diagnoseConsul } from './diagnose.ts';
import { consulInjectors } from './faults.ts';
import { consulIdentities } from './identities.ts';
import { installConsul } from './install.ts';
import { brokenLinks } from './links.ts';
import { instancesName, planeOf, serviceNameOf, virtualName } from './names.ts';
import { type ConsulOptions, EJECTION_MS, VENDOR_IMAGES, imagesOf } from './options.ts';
import { identityPolicyHandler, mutualTlsHandler } from './security.ts';
import { Shares, shareHandler } from './share.ts';
import { decorateFor } from './sidecars.ts';
import { joinTokens } from './tokens.ts';
import { SUPPORTED_SKEW, componentsOf, observedVersions } from './versions.ts';

const FEATURES: readonly Feature[] = [
  'l7.service',
  'share-service',
  'mtls',
  'endpoint-discovery',
  'explicit-export',
  'service-gateway',
  'peer-names',
  'join-token',
];

/** Beside the ejection itself: the next sweep of outlier detection, and a few requests. */
const FAILBACK_SLACK_MS = 15_000;

/** agent/grpc-external/services/peerstream: defaultIncomingHeartbeatTimeout. */
const HEARTBEAT_TIMEOUT_MS = 120_000;
const STATUS_SLACK_MS = 15_000;
/** agent/consul/leader_peering.go: maxRetryBackoffPeering. */
const RETRY_MS = 64_000;

export function createConsul(options: ConsulOptions): Profile {
  const peers = new Peers();
  const shares = new Shares(peers);
  const follow = (fleet: Fleet): void => peers.follow(fleet);
  const images = imagesOf(options);
  const ejectionMs = EJECTION_MS[options.tuning];
  const ejectedTwice = 2 * ejectionMs + FAILBACK_SLACK_MS;
  const leftAlone = `is left alone for ${ejectionMs / 1_000} s${options.tuning === 'fast' ? '' : ', the second time twice as long'}`;
  return {
    name: 'consul',
    conformanceClass: 'service-peering',
    features: [...FEATURES, options.consulGateways === 'local' ? 'own-gateway' : 'no-own-gateway'],
    budgets: {
      'failover.cluster-gone.failback': {
        value: ejectedTwice,
        reason: `The gateway of a cluster that did not answer ${leftAlone} (Envoy's base_ejection_time)`,
      },
      'peering.cut.noticed': {
        value: HEARTBEAT_TIMEOUT_MS + STATUS_SLACK_MS,
        reason: `A peer counts as lost when no heartbeat has come for ${HEARTBEAT_TIMEOUT_MS / 60_000} min`,
      },
      'peering.cut.caughtUp': {
        value: RETRY_MS + CONVERGENCE_MS.value,
        reason: `Servers wait ${RETRY_MS / 1_000} s at most before they try to reach a peer again`,
      },
      ...Object.fromEntries(
        [
          'sharing.spread',
          'sharing.prefer-remote',
          // Of two clusters the other is the last to be called; of more, a peer may come before it.
          ...(options.topology.members.length > 2 ? ['sharing.prefer-local'] : []),
          // Callers are led to a cluster before it exports anything.
          'peering.export',
        ].map((check) => [
          `${check}.convergence`,
          {
            value: Math.max(ejectedTwice, CONVERGENCE_MS.value),
            reason: `That a peer has nothing for its callers shows by failing calls only, and its gateway ${leftAlone}`,
          },
        ]),
      ),
    },
    requirements: () => ({
      wan: false,
      hostPackages: [],
      kubernetes: {
        cni: 'default',
        kubeProxy: 'kept',
        podRoutes: false,
        images: [...new Set([options.images['consul'], options.images['consulEnvoy']])].filter(
          (image) => image !== undefined,
        ),
        tools: ['kubectl'],
      },
    }),
    install: async (fleet, _ledger, step) => {
      follow(fleet);
      await installConsul(peers, options, step);
    },
    recall: async (fleet) => follow(fleet),
    diagnose: diagnoseConsul,
    handlers: [shareHandler(peers, shares), mutualTlsHandler(), identityPolicyHandler(peers)],
    injectors: consulInjectors(peers, shares, options),
    planeOf,
    vendorChart: (standing) =>
      vendorChart(
        {
          topology: options.topology,
          gateways: options.consulGateways,
          ...(options.images['consul'] !== undefined && { image: options.images['consul'] }),
          ...(options.charts['consul'] !== undefined && { chart: options.charts['consul'] }),
        },
        standing,
      ),
    decorate: decorateFor(options),
    identities: consulIdentities(peers),
    // The first of a service's ports has its plain name.
    peerNames: {
      serviceName: ({ name, namespace }, cluster) => virtualName(serviceNameOf(name, namespace), cluster),
      instancesName: ({ name, namespace }, cluster) => instancesName(serviceNameOf(name, namespace), cluster),
    },
    joinTokens,
    brokenLinks: (_fleet, from, to) => brokenLinks(asKubernetes(from), asKubernetes(to)),
    versions: { components: () => componentsOf(peers), supportedSkew: SUPPORTED_SKEW },
    observedVersions: () => observedVersions(peers),
    localBuilds: () => localBuildsOf(Object.values(images), Object.values(VENDOR_IMAGES)),
  };
}
