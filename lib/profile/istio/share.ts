/** Services that clusters share: the same name in each, with endpoints of all, as far as they are healthy. */
import type { AppliedIntent, IntentHandler, KubernetesObject } from '../../model/cluster.ts';
import type { ShareServiceIntent } from '../../model/intent.ts';
import { InternalError } from '../../model/errors.ts';
import { type ClusterLocal, hostOf } from './clusterLocal.ts';
import { type ControlPlanes, asKubernetes } from './clusters.ts';
import { type IstioOptions, hasNetworks } from './options.ts';

const API = 'networking.istio.io/v1';

/** Outlier detection: how often hosts are looked at, and how long one that failed is left alone the first time. */
export interface Timers {
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
}

/** Istio's own recipe for locality failover, and a shortened one that no production should use. */
export const TIMERS: Record<IstioOptions['tuning'], Timers> = {
  'as-configured': { intervalMs: 1_000, baseEjectionMs: 60_000 },
  fast: { intervalMs: 500, baseEjectionMs: 3_000 },
};

/**
 * One try has this long: less than a client of half a second waits, or a host that accepts and stays silent would never
 * count as failed; and no less, or a busy machine ejects hosts that are merely slow.
 */
const TRY_MS = 400;
const RETRIES = 2;
/**
 * Longer than a try: this includes the handshake of TLS, and a connection that is given up half-way leaves the same work
 * to the next one, at the moment when every call needs a new one.
 */
const CONNECT_MS = 2_000;

/** Errors in a row by which a host is ejected; Istio's recipe has 1, by which one slow answer ejects a healthy one. */
const ERRORS = 3;

/** Of all endpoints of a service; Envoy's default of 10 % ejects nobody of fewer than ten. */
const MAX_EJECTION_PERCENT = 75;

const duration = (milliseconds: number): string => `${milliseconds / 1_000}s`;

/**
 * A gateway between networks passes whole connections on, and a proxy keeps one open: without an end every request of a
 * caller would go to the one endpoint that it met first, and a new one would be found by nobody.
 */
const REQUESTS_PER_CONNECTION = 10;

interface SharingOptions extends Timers {
  /** Clusters are networks of their own. */
  readonly apart: boolean;
}

/** @returns DestinationRule and VirtualService; without ejection the retries that Istio makes by itself are enough */
export function sharingObjects(
  intent: ShareServiceIntent,
  namespace: string,
  { intervalMs, baseEjectionMs, apart }: SharingOptions,
): readonly KubernetesObject[] {
  const host = hostOf(intent.service, namespace);
  const metadata = { name: intent.service, namespace };
  const rule: KubernetesObject = {
    apiVersion: API,
    kind: 'DestinationRule',
    metadata,
    spec: {
      host,
      trafficPolicy: {
        loadBalancer: {
          simple: 'ROUND_ROBIN',
          localityLbSetting:
            intent.preference === 'prefer-local'
              ? { enabled: true, failoverPriority: ['topology.istio.io/cluster'] }
              : { enabled: false },
        },
        // Istio refuses an empty one.
        ...((intent.ejectFailing || apart) && {
          connectionPool: {
            ...(intent.ejectFailing && { tcp: { connectTimeout: duration(CONNECT_MS) } }),
            ...(apart && { http: { maxRequestsPerConnection: REQUESTS_PER_CONNECTION } }),
          },
        }),
        ...(intent.ejectFailing && {
          outlierDetection: {
            consecutive5xxErrors: ERRORS,
            interval: duration(intervalMs),
            baseEjectionTime: duration(baseEjectionMs),
            // Room for all of a cluster, and never for everybody: callers that turn to those who are left all at once make
            // them slow, and must not eject them as well.
            maxEjectionPercent: MAX_EJECTION_PERCENT,
            // When nobody is left, everybody is tried: an outage of the way must not outlast itself by an ejection.
            minHealthPercent: 1,
          },
        }),
      },
    },
  };
  if (!intent.ejectFailing) return [rule];
  const retries = {
    attempts: RETRIES,
    perTryTimeout: duration(TRY_MS),
    retryOn: 'connect-failure,refused-stream,reset,retriable-status-codes,503',
  };
  const route: KubernetesObject = {
    apiVersion: API,
    kind: 'VirtualService',
    metadata,
    spec: { hosts: [host], http: [{ route: [{ destination: { host } }], retries }] },
  };
  return [rule, route];
}

export function shareHandler(
  planes: ControlPlanes,
  clusterLocal: ClusterLocal,
  { tuning, istioTopology, provider }: Pick<IstioOptions, 'tuning' | 'istioTopology' | 'provider'>,
): IntentHandler {
  const options = { ...TIMERS[tuning], apart: hasNetworks(istioTopology) };
  return {
    name: 'istio-share',
    supports: (intent) => {
      if (intent.kind !== 'share-service') return `istio-share knows no intent of kind ${intent.kind}`;
      if (intent.preference === 'prefer-remote')
        return 'istio-share: localities come in an order that begins with the own one';
      if (intent.preference === 'prefer-local' && !intent.ejectFailing)
        return 'istio-share: localities are preferred only together with outlier detection';
      if (intent.offered === false && provider === 'contexts')
        return 'istio-share: which services each cluster keeps to itself the configuration of the whole mesh says';
      return true;
    },
    async apply(intent, cluster): Promise<AppliedIntent> {
      if (intent.kind !== 'share-service') {
        throw new InternalError(`istio-share was given an intent ${intent.kind}`);
      }
      const primary = planes.primaryOf(cluster);
      const namespace = asKubernetes(cluster).namespaceOf(intent.namespace);
      const objects = sharingObjects(intent, namespace, options);
      const kept = intent.offered === false ? [hostOf(intent.service, namespace)] : [];
      await primary.objects.apply(objects);
      if (kept.length > 0) await clusterLocal.add(primary, kept);
      return {
        rendered: JSON.stringify([...objects, ...kept.map((host) => ({ clusterLocal: host }))]),
        settled: async () => {
          const [stand, known] = await Promise.all([
            Promise.all(objects.map((one) => primary.objects.read(one))),
            Promise.all(kept.map((host) => clusterLocal.isKnown(primary, host))),
          ]);
          return [...stand, ...known].every(Boolean);
        },
        undo: async () => {
          if (kept.length > 0) await clusterLocal.remove(primary, kept);
          await primary.objects.delete(objects);
        },
      };
    },
    addressFrom: (cluster, service) => cluster.serviceAddress(service),
  };
}
