/** What `istioctl install` is given for a cluster. Pure. */
import type { IstioTopology } from '../../model/spec.ts';
import { GATEWAY_NAME, LABELS, MESH_ID, networkOf } from './names.ts';
import { hasGateways, hasNetworks, hasOnePrimary } from './options.ts';

export interface OperatorOptions {
  readonly cluster: string;
  readonly topology: IstioTopology;
  /** Where a control plane of another cluster serves this one: the address of its gateway. */
  readonly controlPlane?: { readonly address: string };
  readonly pilotImage?: string;
  readonly proxyImage?: string;
  /** The proxy is Envoy as it comes from its own project, without the filters that Istio adds. */
  readonly plainEnvoy: boolean;
}

/** Many proxies share one machine here: what they ask for at least, not what they may use. */
export const PROXY_REQUESTS = { cpu: '15m', memory: '48Mi' };
const PILOT_REQUESTS = { cpu: '50m', memory: '128Mi' };

/** Ports of the gateway between clusters: readiness, services of the other network, control plane, its webhooks. */
const GATEWAY_PORTS = [
  { name: 'status-port', port: 15021, targetPort: 15021 },
  { name: 'tls', port: 15443, targetPort: 15443 },
  { name: 'tls-istiod', port: 15012, targetPort: 15012 },
  { name: 'tls-webhook', port: 15017, targetPort: 15017 },
];

/** @returns an IstioOperator (install.istio.io/v1alpha1); JSON is YAML */
export function operatorOf(options: OperatorOptions): Readonly<Record<string, unknown>> {
  const { cluster, topology, controlPlane, pilotImage, proxyImage, plainEnvoy } = options;
  const network = networkOf(cluster, hasNetworks(topology));
  return {
    apiVersion: 'install.istio.io/v1alpha1',
    kind: 'IstioOperator',
    spec: {
      profile: controlPlane ? 'remote' : 'minimal',
      meshConfig: {
        // What each proxy did is evidence, and part of the diagnosis.
        accessLogFile: '/dev/stdout',
        defaultConfig: { holdApplicationUntilProxyStarts: true, concurrency: 1 },
      },
      components: {
        pilot: { k8s: { resources: { requests: PILOT_REQUESTS } } },
        ...(hasGateways(topology) && !(controlPlane && hasOnePrimary(topology)) && gateway(network)),
      },
      values: {
        global: {
          meshID: MESH_ID,
          multiCluster: { clusterName: cluster },
          network,
          // A gateway's own default is Always, which no machine without a registry can serve.
          imagePullPolicy: 'IfNotPresent',
          proxy: { ...(proxyImage && { image: proxyImage }), resources: { requests: PROXY_REQUESTS } },
          proxy_init: { ...(proxyImage && { image: proxyImage }) },
          ...(controlPlane && { remotePilotAddress: controlPlane.address }),
          ...(hasOnePrimary(topology) && !controlPlane && { externalIstiod: true }),
        },
        pilot: {
          autoscaleEnabled: false,
          ...(pilotImage && { image: pilotImage }),
          ...(plainEnvoy && {
            env: { PILOT_ENABLE_ALPN_FILTER: 'false', PILOT_ENABLE_METADATA_EXCHANGE: 'false' },
          }),
        },
        ...(plainEnvoy && { telemetry: { enabled: false } }),
        ...(hasGateways(topology) && {
          gateways: {
            'istio-ingressgateway': { injectionTemplate: 'gateway', autoscaleEnabled: false },
          },
        }),
        ...(controlPlane && {
          istiodRemote: { injectionPath: `/inject/cluster/${cluster}/net/${network}` },
        }),
      },
    },
  };
}

const gateway = (network: string) => ({
  ingressGateways: [
    {
      name: GATEWAY_NAME,
      label: { istio: 'eastwestgateway', app: GATEWAY_NAME, [LABELS.network]: network },
      enabled: true,
      k8s: {
        // It routes inside its own network only.
        env: [{ name: 'ISTIO_META_REQUESTED_NETWORK_VIEW', value: network }],
        resources: { requests: PROXY_REQUESTS },
        service: { ports: GATEWAY_PORTS },
      },
    },
  ],
});
