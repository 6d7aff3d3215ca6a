/** Which handler makes an intent true: the most specific one that supports it. */
import type { Cluster, IntentHandler, Profile, Provider } from '../model/cluster.ts';
import type { Intent, PolicySemantics, Refusal } from '../model/intent.ts';
import type { SharedAddress } from '../model/workload.ts';
import { InternalError } from '../model/errors.ts';

export type Sources = {
  readonly profile: Pick<Profile, 'handlers'>;
  readonly provider: Pick<Provider, 'handlers'>;
};

/** The profile's before the provider's. */
export function handlersOf({ profile, provider }: Sources): readonly IntentHandler[] {
  return [...profile.handlers, ...provider.handlers];
}

export function handlerFor(sources: Sources, intent: Intent): IntentHandler | undefined {
  return handlersOf(sources).find((handler) => handler.supports(intent) === true);
}

/** Why nobody can express an intent; undefined when somebody can. */
export function inexpressible(sources: Sources, intent: Intent): string | undefined {
  if (handlerFor(sources, intent)) return undefined;
  const reasons = handlersOf(sources).map(
    (handler) => `${handler.name}: ${String(handler.supports(intent))}`,
  );
  return `nothing here can express ${shownIntent(intent)}${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
}

function shownIntent(intent: Intent): string {
  switch (intent.kind) {
    case 'policy':
    case 'identity-policy':
      return `the policy ${intent.name}`;
    case 'share-service':
      return `sharing ${intent.service}`;
    case 'mutual-tls':
      return `mutual TLS ${intent.mode} in ${intent.namespace}`;
  }
}

/** Nothing that is asked of such semantics can be expressed. */
const NO_POLICY: PolicySemantics = { protocols: [], selectorsMatchRemote: false, refusal: 'silence' };

export function policySemanticsOf(sources: Sources): PolicySemantics {
  return handlersOf(sources).find((handler) => handler.policySemantics)?.policySemantics ?? NO_POLICY;
}

/** What callers by HTTP see of a policy by identity that does not name them; silence where nobody says anything of it. */
export const identityRefusalOf = (sources: Sources): Refusal =>
  handlersOf(sources).find((handler) => handler.identityRefusal)?.identityRefusal ?? 'silence';

/** Where callers in a cluster find a shared service; undefined where nobody shares any. */
export function sharedAddressIfAny(
  sources: Sources,
  cluster: Cluster,
  service: { namespace: string; name: string },
): SharedAddress | undefined {
  const intent: Intent = {
    kind: 'share-service',
    namespace: service.namespace,
    service: service.name,
    preference: 'spread',
  };
  const handler = handlersOf(sources).find(
    (candidate) => candidate.addressFrom && candidate.supports(intent) === true,
  );
  return handler?.addressFrom?.(cluster, service);
}

export function sharedAddress(
  sources: Sources,
  cluster: Cluster,
  service: { namespace: string; name: string },
): SharedAddress {
  const address = sharedAddressIfAny(sources, cluster, service);
  if (!address) throw new InternalError(`nobody knows where ${cluster.name} finds shared services`);
  return address;
}
