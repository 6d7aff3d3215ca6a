/** What a controller knows at one moment, and which endpoints a caller gets because of it. Pure. */
import type { ShareServiceIntent } from '../../../model/intent.ts';
import type { IpFamily } from '../../../model/cidr.ts';
import { type Zone, keyOf } from '../../../model/workload.ts';
import type { ControllerConfig, ControllerService } from './config.ts';

/** One address of one healthy backend. */
export interface Endpoint {
  readonly cluster: string;
  readonly workload: string;
  readonly address: string;
}

/** A service with its healthy endpoints, of all families. */
export interface ServiceState {
  readonly service: ControllerService;
  readonly local: readonly Endpoint[];
  /** Those of the other clusters that share it; empty while this cluster does not. */
  readonly remote: readonly Endpoint[];
}

export const familyOf = (address: string): IpFamily => (address.includes(':') ? 'ipv6' : 'ipv4');

/** Which endpoints stand behind a shared address; for the endpoints of one family. */
export function merge(
  local: readonly Endpoint[],
  remote: readonly Endpoint[],
  preference: ShareServiceIntent['preference'],
): readonly Endpoint[] {
  if (preference === 'spread') return [...local, ...remote];
  const [first, second] = preference === 'prefer-local' ? [local, remote] : [remote, local];
  return first.length > 0 ? first : second;
}

/** What answers at the service's address of a zone. */
export function endpointsBehind(state: ServiceState, zone: Zone, family: IpFamily): readonly Endpoint[] {
  const inFamily = (endpoints: readonly Endpoint[]) =>
    endpoints.filter(({ address }) => familyOf(address) === family);
  const local = inFamily(state.local);
  if (zone === 'cluster.local') return local;
  return state.service.shared ? merge(local, inFamily(state.remote), state.service.shared.preference) : [];
}

/** Backends of this cluster, flat: one entry an address in use. */
export function localEndpoints(config: ControllerConfig, service: ControllerService): Endpoint[] {
  return service.endpoints.flatMap(({ workload, addresses }) =>
    config.families.flatMap((family) => {
      const address = addresses[family];
      return address === undefined ? [] : [{ cluster: config.cluster, workload, address }];
    }),
  );
}

/** Fixed endpoints have no health: they are there because somebody said so. */
export const isHealthChecked = (service: ControllerService): boolean =>
  service.spec.fixedEndpoints === undefined;

/** @param isUp tells whether a local backend passes its health check @param remoteOf healthy endpoints elsewhere */
export function stateOf(
  config: ControllerConfig,
  isUp: (address: string, port: number) => boolean,
  remoteOf: (service: string) => readonly Endpoint[],
): ServiceState[] {
  return config.services.map((service) => ({
    service,
    local: localEndpoints(config, service).filter(
      ({ address }) => !isHealthChecked(service) || isUp(address, service.spec.healthPort),
    ),
    remote: service.shared ? remoteOf(keyOf(service.spec)) : [],
  }));
}
