/** Mutual TLS and policies by identity. */
import type { AppliedIntent, Cluster, IntentHandler, KubernetesObject } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { IdentityPolicyIntent, Intent, MutualTlsIntent } from '../../model/intent.ts';
import { type ControlPlanes, asKubernetes } from './clusters.ts';
import { principalOf } from './identities.ts';

const API = 'security.istio.io/v1';

type Labels = Readonly<Record<string, string>>;

const selectorOf = (target: Labels) =>
  Object.keys(target).length === 0 ? {} : { selector: { matchLabels: target } };

/** For a whole namespace it has the name that Istio's own documentation gives it, so that there is only one. */
export function peerAuthentication({ target, mode }: MutualTlsIntent, namespace: string): KubernetesObject {
  const name = ['default', ...Object.entries(target).flat()].join('-').toLowerCase();
  return {
    apiVersion: API,
    kind: 'PeerAuthentication',
    metadata: { name, namespace },
    spec: { ...selectorOf(target), mtls: { mode: mode === 'required' ? 'STRICT' : 'PERMISSIVE' } },
  };
}

/** @param nameOf name in the cluster of a namespace of specifications */
export function authorizationPolicy(
  { name, namespace, target, allow }: IdentityPolicyIntent,
  nameOf: (namespace: string) => string,
): KubernetesObject {
  const sources = allow.map((peer) =>
    peer.serviceAccount === undefined
      ? { namespaces: [nameOf(peer.namespace)] }
      : { principals: [principalOf(nameOf(peer.namespace), peer.serviceAccount)] },
  );
  return {
    apiVersion: API,
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: nameOf(namespace) },
    spec: {
      ...selectorOf(target),
      action: 'ALLOW',
      // Without a rule nobody is allowed.
      ...(sources.length > 0 && { rules: [{ from: sources.map((source) => ({ source })) }] }),
    },
  };
}

function handler(
  name: string,
  planes: ControlPlanes,
  supports: IntentHandler['supports'],
  render: (intent: Intent, cluster: Cluster) => KubernetesObject,
): IntentHandler {
  return {
    name,
    supports,
    async apply(intent, cluster): Promise<AppliedIntent> {
      const primary = planes.primaryOf(cluster);
      const object = render(intent, cluster);
      await primary.objects.apply([object]);
      return {
        rendered: JSON.stringify(object),
        settled: async () => (await primary.objects.read(object)) !== undefined,
        obeyedLater: true,
        undo: () => primary.objects.delete([object]),
      };
    },
  };
}

export function mutualTlsHandler(planes: ControlPlanes): IntentHandler {
  const name = 'istio-mutual-tls';
  return handler(
    name,
    planes,
    (intent) => intent.kind === 'mutual-tls' || `${name} knows no intent of kind ${intent.kind}`,
    (intent, cluster) => {
      if (intent.kind !== 'mutual-tls') throw new InternalError(`${name} was given ${intent.kind}`);
      return peerAuthentication(intent, asKubernetes(cluster).namespaceOf(intent.namespace));
    },
  );
}

export function identityPolicyHandler(planes: ControlPlanes): IntentHandler {
  const name = 'istio-identity-policy';
  return handler(
    name,
    planes,
    (intent) => {
      if (intent.kind !== 'identity-policy') return `${name} knows no intent of kind ${intent.kind}`;
      return intent.allow.every(({ cluster }) => cluster === undefined)
        ? true
        : `${name}: identities of one trust domain do not say in which cluster they are`;
    },
    (intent, cluster) => {
      if (intent.kind !== 'identity-policy') throw new InternalError(`${name} was given ${intent.kind}`);
      return authorizationPolicy(intent, (namespace) => asKubernetes(cluster).namespaceOf(namespace));
    },
  );
}
