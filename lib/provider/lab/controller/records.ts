/** DNS content: the hosts file that follows health, and the DNS server's configuration that does not. Pure. */
import { serviceName, type Zone } from '../../../model/workload.ts';
import type { ControllerConfig, ControllerService } from './config.ts';
import { type Endpoint, type ServiceState, familyOf } from './state.ts';

/** Short, as CoreDNS has it, so that a headless name follows health soon. */
const TTL_SECONDS = 5;
/** What the server takes and gives with EDNS; without it, 512 bytes (RFC 1035, section 4.2.1), then TC and TCP. */
const EDNS_PACKET_BYTES = 4096;

/** Weight as CoreDNS gives it to each of the records of a service. */
const SRV_PRIORITY_AND_WEIGHT = '0,100';

/**
 * A and AAAA records in the format of hosts(5), following the Kubernetes DNS specification (`cluster.local`) and KEP-1645
 * (`clusterset.local`).
 */
export function renderHosts(state: readonly ServiceState[], config: ControllerConfig): string {
  const lines = state.flatMap((one) => [
    ...namesOf(one, 'cluster.local'),
    ...(one.service.shared ? namesOf(one, 'clusterset.local') : []),
  ]);
  return lines
    .filter(([address]) => config.families.includes(familyOf(address)))
    .map(([address, ...names]) => `${address} ${names.join(' ')}\n`)
    .join('');
}

type HostsLine = readonly [address: string, ...names: string[]];

/** The addresses of a service itself: none when it is headless, or imported and so not of `cluster.local`. */
const addressesIn = ({ clusterIps, clustersetIps }: ControllerService, zone: Zone): string[] =>
  Object.values(zone === 'cluster.local' ? clusterIps : clustersetIps);

function namesOf({ service, local, remote }: ServiceState, zone: Zone): HostsLine[] {
  const name = serviceName(service.spec, zone);
  if (!service.spec.headless) return addressesIn(service, zone).map((address) => [address, name]);
  const endpoints = zone === 'cluster.local' ? local : [...local, ...remote];
  return endpoints.map((endpoint) => [endpoint.address, name, endpointName(service, endpoint, zone)]);
}

function endpointName(service: ControllerService, endpoint: Omit<Endpoint, 'address'>, zone: Zone): string {
  const host = zone === 'cluster.local' ? endpoint.workload : `${endpoint.workload}.${endpoint.cluster}`;
  return `${host}.${serviceName(service.spec, zone)}`;
}

/**
 * Configuration of dnsmasq(8). The SRV records make each service's name exist even when it has no address (it is then an
 * empty non-terminal: NODATA, not NXDOMAIN). Those of a headless name in `clusterset.local` list the own cluster's
 * workloads: the others' come and go by polling, and dnsmasq reads SRV records only when it starts.
 */
export function renderDnsmasq(config: ControllerConfig): string {
  const { folder, dns, families } = config;
  return [
    'keep-in-foreground',
    'user=root',
    'group=root',
    'log-facility=-',
    `pid-file=${folder}/dnsmasq.pid`,
    'bind-interfaces',
    ...families.flatMap((family) => (dns[family] ? [`listen-address=${dns[family]}`] : [])),
    'no-resolv',
    'no-hosts',
    `addn-hosts=${hostsFile(folder)}`,
    'local=/cluster.local/',
    'local=/clusterset.local/',
    'local=/in-addr.arpa/',
    'local=/ip6.arpa/',
    `local=/${REVISION_ZONE}/`,
    `local-ttl=${TTL_SECONDS}`,
    `edns-packet-max=${EDNS_PACKET_BYTES}`,
    ...config.services.flatMap((service) => [
      ...srvRecords(config, service, 'cluster.local'),
      ...(service.shared ? srvRecords(config, service, 'clusterset.local') : []),
    ]),
    '',
  ].join('\n');
}

export const hostsFile = (folder: string): string => `${folder}/dnsmasq.hosts`;

/** Holds one name, which changes with every content of the hosts file: asking for it shows which one is in force. */
export const REVISION_ZONE = 'revision.internal';

function srvRecords(config: ControllerConfig, service: ControllerService, zone: Zone): string[] {
  const name = serviceName(service.spec, zone);
  const ownName = addressesIn(service, zone).length > 0 ? [name] : [];
  const targets = service.spec.headless
    ? service.endpoints.map(({ workload }) =>
        endpointName(service, { workload, cluster: config.cluster }, zone),
      )
    : ownName;
  return service.spec.ports.flatMap(({ name: portName, protocol, port }) =>
    targets.map(
      (target) => `srv-host=_${portName}._${protocol}.${name},${target},${port},${SRV_PRIORITY_AND_WEIGHT}`,
    ),
  );
}
