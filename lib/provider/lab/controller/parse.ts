/** Reading a configuration that may be rubbish: nothing gets past here that could break a rule or a DNS record. */
import { type PerFamily, parseAddress } from '../../../model/cidr.ts';
import type { ControllerConfig, ControllerService } from './config.ts';

/** A DNS label (RFC 1123). */
export const isLabel = (value: unknown): value is string =>
  typeof value === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(value);

/** @throws Error saying what is wrong and where */
export function parseConfig(text: string): ControllerConfig {
  const config = JSON.parse(text) as ControllerConfig;
  requireThat(typeof config === 'object' && config !== null, 'the configuration is no object');
  requireLabel(config.cluster, 'cluster');
  requireThat(
    Array.isArray(config.families) && config.families.every((one) => one === 'ipv4' || one === 'ipv6'),
    'families',
  );
  requireThat(typeof config.folder === 'string' && /^\/[\w./-]+$/.test(config.folder), 'folder');
  requireAddresses(config.dns, 'dns');
  requireAddresses(config.listen, 'listen');
  for (const name of ['healthPeriodMs', 'peerPeriodMs', 'followPauseMs'] as const) {
    const period = config[name];
    requireThat(period === undefined || (Number.isInteger(period) && period >= 10), name);
  }
  for (const peer of requireArray(config.peers, 'peers')) {
    requireLabel(peer?.cluster, 'peers.cluster');
    requireAddresses(peer.addresses, `peers.${peer.cluster}`);
    requireThat(peer.via === undefined || isLabel(peer.via), `peers.${peer.cluster}.via`);
  }
  for (const service of requireArray(config.services, 'services')) checkService(service);
  return config;
}

function checkService(service: ControllerService): void {
  const spec = service?.spec;
  requireLabel(spec?.namespace, 'services.spec.namespace');
  requireLabel(spec.name, 'services.spec.name');
  const where = `services.${spec.namespace}/${spec.name}`;
  requirePort(spec.healthPort, `${where}.healthPort`);
  for (const port of requireArray(spec.ports, `${where}.ports`)) {
    requireLabel(port?.name, `${where}.ports.name`);
    requirePort(port.port, `${where}.ports.port`);
    requireThat(port.protocol === 'tcp' || port.protocol === 'udp', `${where}.ports.protocol`);
  }
  requireAddresses(service.clusterIps, `${where}.clusterIps`);
  requireAddresses(service.clustersetIps, `${where}.clustersetIps`);
  if (service.shared !== undefined) {
    requireThat(
      ['spread', 'prefer-local', 'prefer-remote'].includes(service.shared?.preference),
      `${where}.shared`,
    );
  }
  for (const endpoint of requireArray(service.endpoints, `${where}.endpoints`)) {
    requireLabel(endpoint?.workload, `${where}.endpoints.workload`);
    requireAddresses(endpoint.addresses, `${where}.endpoints.${endpoint.workload}`);
  }
}

function requireThat(condition: boolean, where: string): asserts condition {
  if (!condition) throw new Error(`unusable configuration: ${where}`);
}

function requireArray<T>(value: readonly T[], where: string): readonly T[] {
  requireThat(Array.isArray(value), where);
  return value;
}

function requireLabel(value: unknown, where: string): asserts value is string {
  requireThat(isLabel(value), where);
}

function requirePort(value: unknown, where: string): void {
  requireThat(Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536, where);
}

function requireAddresses(addresses: PerFamily<string>, where: string): void {
  requireThat(typeof addresses === 'object' && addresses !== null, where);
  for (const [family, address] of Object.entries(addresses)) {
    requireThat(typeof address === 'string', `${where}.${family}`);
    requireThat(parseAddress(address).family === family, `${where}.${family}`);
  }
}
