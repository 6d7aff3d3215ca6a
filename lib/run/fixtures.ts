/** What must stand before the cases can run: the union of what their checks use. Pure. */
import { isDeepStrictEqual } from 'node:util';
import type { AnyCheck, Fixture } from '../model/check.ts';
import { InternalError } from '../model/errors.ts';
import type { Intent } from '../model/intent.ts';
import type { PlannedCase } from '../model/record.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf } from '../model/workload.ts';
import type { CheckRegistry } from './registry.ts';

export interface Fixtures {
  readonly workloads: readonly WorkloadSpec[];
  readonly services: readonly ServiceSpec[];
  readonly intents: readonly Intent[];
}

export function intentKey(intent: Intent): string {
  switch (intent.kind) {
    case 'policy':
    case 'identity-policy':
      return `${intent.kind} ${intent.namespace}/${intent.name}`;
    case 'share-service':
      return `share-service ${intent.namespace}/${intent.service}`;
    case 'mutual-tls':
      return `mutual-tls ${intent.namespace} ${JSON.stringify(intent.target)}`;
  }
}

/** Clusters where a service exists or an intent about it makes sense. */
export function existsIn(service: ServiceSpec, cluster: string): boolean {
  return service.onlyIn?.includes(cluster) ?? true;
}

function intentBelongsTo(intent: Intent, cluster: string, services: readonly ServiceSpec[]): boolean {
  if (intent.kind !== 'share-service') return true;
  const key = keyOf({ namespace: intent.namespace, name: intent.service });
  const service = services.find((candidate) => keyOf(candidate) === key);
  return service === undefined || existsIn(service, cluster);
}

/** What one cluster has of services and intents. */
export function standingIn(
  { services, intents }: { readonly services: readonly ServiceSpec[]; readonly intents: readonly Intent[] },
  cluster: string,
): { services: ServiceSpec[]; intents: Intent[] } {
  return {
    services: services.filter((service) => existsIn(service, cluster)),
    intents: intents.filter((intent) => intentBelongsTo(intent, cluster, services)),
  };
}

/** What a check uses in a fleet of so many clusters. */
export const usedBy = ({ uses = [] }: Pick<AnyCheck, 'uses'>, clusters: number): readonly Fixture[] =>
  uses.filter(({ fromClusters = 0 }) => fromClusters <= clusters);

/**
 * @param clusters how many the fleet has
 * @throws InternalError when two checks use the same name for different things
 */
export function mergeFixtures(
  cases: readonly PlannedCase[],
  registry: CheckRegistry,
  clusters: number,
): Fixtures {
  const wanted = new Set(cases.filter((planned) => planned.skip === undefined).map(({ check }) => check));
  const used = [...wanted].flatMap((id) => usedBy(registry.get(id) ?? {}, clusters));
  return {
    workloads: union(
      used.flatMap((fixture) => fixture.workloads),
      keyOf,
    ),
    services: union(
      used.flatMap((fixture) => fixture.services ?? []),
      keyOf,
    ),
    intents: union(
      used.flatMap((fixture) => fixture.intents ?? []),
      intentKey,
    ),
  };
}

function union<T>(items: readonly T[], key: (item: T) => string): T[] {
  const byKey = new Map<string, T>();
  for (const item of items) {
    const known = byKey.get(key(item));
    if (known === undefined) byKey.set(key(item), item);
    else if (!isDeepStrictEqual(known, item)) {
      throw new InternalError(`two fixtures mean different things by ${key(item)}`);
    }
  }
  return [...byKey.values()];
}
