/** Faults of the DNS server that workloads ask, and of what clusters tell each other of their services. */
import path from 'node:path';
import { addressAt, firstOf, parseCidr } from '../../../model/cidr.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { ADDRESS_RECORD, type Resolution } from '../../../model/probe.ts';
import { keyOf } from '../../../model/workload.ts';
import { randomBelow, systemClock } from '../../../system/clock.ts';
import { quoteCommand } from '../../../system/commands.ts';
import { readIfPresent, writeAtomically } from '../../../system/files.ts';
import { askOverSocket } from '../../../system/sockets.ts';
import type { LabCluster } from '../cluster.ts';
import {
  CONFIG_FILE,
  type ControllerConfig,
  type ControllerReply,
  SOCKET_FILE,
} from '../controller/config.ts';
import { hostsFile } from '../controller/records.ts';
import { applyNft } from '../namespace.ts';
import { relayCommand } from '../../relay/config.ts';
import type { FaultOf, Injection } from '../../../model/injection.ts';
import { clusterOf, faultFile, newFaultId, prepareMending } from './injector.ts';
import { companion } from './processes.ts';

const LOOKUP_MS = 3_000;
const START_MS = 5_000;
const POLL_MS = 50;
/** Above the well-known ports, and nothing in a gateway listens there. */
const FIRST_PORT = 5_400;
const PORTS = 4_000;

/** The content of a DNS server: configuration of dnsmasq(8), and hosts(5). */
interface Content {
  readonly configuration: string;
  readonly hosts: string;
}

async function contentOf(cluster: LabCluster): Promise<Content> {
  const [configuration, hosts] = await Promise.all([
    readIfPresent(path.join(cluster.gateway.folder, 'dnsmasq.conf')),
    readIfPresent(hostsFile(cluster.gateway.folder)),
  ]);
  if (configuration === undefined || hosts === undefined) {
    throw new InternalError(`cluster ${cluster.name} has no DNS server to take the place of`);
  }
  return { configuration, hosts };
}

/** Another DNS server takes the questions of workloads; the cluster's own one runs on untouched. */
async function impersonate(
  injection: Injection,
  cluster: LabCluster,
  { configuration, hosts }: Content,
): Promise<() => Promise<void>> {
  const base = faultFile(injection.fleet, cluster.name, `${newFaultId()}-dns`);
  const port = FIRST_PORT + randomBelow(PORTS);
  const files = { configuration: `${base}.conf`, hosts: `${base}.hosts`, pid: `${base}.pid` };
  const own = configuration
    .split('\n')
    .filter((line) => !/^(?:listen-address|pid-file|addn-hosts)=/.test(line));
  const lines = [
    ...own,
    ...Object.values(cluster.dns).map((address) => `listen-address=${address}`),
    `port=${port}`,
    'pid-file=',
    `addn-hosts=${files.hosts}`,
    '',
  ];
  await writeAtomically(files.configuration, lines.join('\n'), 0o600);
  await writeAtomically(files.hosts, hosts, 0o600);
  return divert(injection, cluster, {
    port,
    protocols: ['tcp', 'udp'],
    command: ['dnsmasq', `--conf-file=${files.configuration}`],
    pidFile: files.pid,
    files: [files.configuration, files.hosts],
    means: 'a DNS server in the place of the own one',
  });
}

/** Starts a program of the fault's own at the DNS server's address, and sends it what workloads ask. */
async function divert(
  injection: Injection,
  cluster: LabCluster,
  substitute: {
    readonly port: number;
    readonly protocols: readonly ('tcp' | 'udp')[];
    readonly command: readonly [string, ...string[]];
    readonly pidFile: string;
    readonly files: readonly string[];
    readonly means: string;
  },
): Promise<() => Promise<void>> {
  const { port, pidFile, means } = substitute;
  const { netns } = cluster.gateway;
  const table = `inet mcnet_fault_${newFaultId()}`;
  const program = companion(pidFile);
  const mend = await prepareMending(
    injection,
    { netns, cluster: cluster.name, means },
    [
      `nft 'add table ${table}; delete table ${table}'`,
      program.ending,
      ...substitute.files.map((file) => `rm -f ${file}`),
      '',
    ].join('\n'),
  );
  await program.start(netns, injection.fleet.run, substitute.command);
  await program.untilListening(netns, port, START_MS);
  // Ports are exchanged outside connection tracking's view: what it remembers of an earlier question from the same port would
  // lead a new one to the own server.
  const exchanged = Object.entries(cluster.dns).flatMap(([family, address]) => {
    const header = family === 'ipv4' ? 'ip' : 'ip6';
    return substitute.protocols.map((protocol) => ({
      // What the substitute itself asks the own server comes by the loopback interface.
      asked: `    iifname != "lo" ${header} daddr ${address} ${protocol} dport 53 ${protocol} dport set ${port}`,
      answered: `    ${header} saddr ${address} ${protocol} sport ${port} ${protocol} sport set 53`,
    }));
  });
  const chain = [
    '  chain prerouting {',
    '    type filter hook prerouting priority raw; policy accept;',
    ...exchanged.map(({ asked }) => asked),
    '  }',
    '  chain postrouting {',
    '    type filter hook postrouting priority srcnat + 1; policy accept;',
    ...exchanged.map(({ answered }) => answered),
    '  }',
  ];
  await applyNft(netns, `table ${table} {\n${chain.join('\n')}\n}\n`);
  return mend;
}

/** Asks as a workload does: what a gateway asks itself is not diverted. */
async function lookUp(cluster: LabCluster, name: string): Promise<Resolution | undefined> {
  const [workload] = cluster.workloads;
  if (!workload) throw new InternalError(`cluster ${cluster.name} has no workload to ask its DNS server`);
  const server = firstOf(cluster.dns);
  const type = ADDRESS_RECORD[server.includes(':') ? 'ipv6' : 'ipv4'];
  const [answer] = await workload.probe.resolve([{ server, name, type, timeoutMs: LOOKUP_MS }]);
  return answer;
}

/** Lines of hosts(5) as address and names. */
const parseHosts = (hosts: string): { address: string; names: string[] }[] =>
  hosts
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [address = '', ...names] = line.split(' ');
      return { address, names };
    });

/** A name that is there to be asked for, in the family of the DNS server's first address. */
function someName(hosts: string, cluster: LabCluster): string {
  const ipv6 = firstOf(cluster.dns).includes(':');
  const found = parseHosts(hosts).find(
    ({ address, names }) => address.includes(':') === ipv6 && names[0]?.includes('.svc.'),
  );
  if (!found?.names[0]) throw new InternalError(`the DNS server of ${cluster.name} knows no service`);
  return found.names[0];
}

export async function denyNames(injection: Injection<FaultOf<'dns-nxdomain'>>): Promise<Disturbance> {
  const cluster = clusterOf(injection.fleet, injection.fault.cluster);
  const { configuration, hosts } = await contentOf(cluster);
  const withoutServices = configuration.replaceAll(/^srv-host=.*\n/gm, '');
  const mend = await impersonate(injection, cluster, { configuration: withoutServices, hosts: '' });
  const name = someName(hosts, cluster);
  return { tookHold: async () => (await lookUp(cluster, name))?.rcode === 'NXDOMAIN', mend };
}

export async function keepNamesLong(injection: Injection<FaultOf<'dns-ttl-long'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const { configuration, hosts } = await contentOf(cluster);
  const mend = await impersonate(injection, cluster, {
    configuration: configuration.replace(/^local-ttl=.*$/m, `local-ttl=${fault.seconds}`),
    hosts,
  });
  const name = someName(hosts, cluster);
  return {
    tookHold: async () => (await lookUp(cluster, name))?.ttls.includes(fault.seconds) === true,
    mend,
  };
}

export async function answerFromOtherCluster(
  injection: Injection<FaultOf<'dns-wrong-address'>>,
): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const other = await contentOf(clusterOf(fleet, fault.instead));
  const mend = await impersonate(injection, cluster, other);
  const name = someName(other.hosts, cluster);
  const wrong = addressesIn(other.hosts, name);
  return {
    async tookHold() {
      const right = addressesIn((await contentOf(cluster)).hosts, name);
      const seen = (await lookUp(cluster, name))?.addresses ?? [];
      return seen.length > 0 && seen.every((one) => wrong.includes(one) && !right.includes(one));
    },
    mend,
  };
}

const addressesIn = (hosts: string, name: string): string[] =>
  parseHosts(hosts)
    .filter(({ names }) => names.includes(name))
    .map(({ address }) => address);

/** From the end of the pods, below those of fixed endpoints: nobody has it. */
const VACANT_INDEX = 60_000;

export async function keepOldRecords(injection: Injection<FaultOf<'dns-stale'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const { configuration, hosts } = await contentOf(cluster);
  const vacant = fleet.families.map((family) =>
    addressAt(parseCidr(cluster.ranges.pods[family] as string), VACANT_INDEX),
  );
  const seen = new Set<string>();
  const stale = parseHosts(hosts).map(({ address, names }) => {
    // Only records of headless names have the endpoint's own name too.
    const key = `${names[0]} ${address.includes(':')}`;
    const isFirst = names.length > 1 && !seen.has(key);
    seen.add(key);
    const old = vacant.find((one) => one.includes(':') === address.includes(':'));
    return `${isFirst ? old : address} ${names.join(' ')}\n`;
  });
  const name = parseHosts(hosts).find(({ names }) => names.length > 1)?.names[0];
  if (name === undefined) throw new InternalError(`cluster ${cluster.name} has no headless service`);
  const mend = await impersonate(injection, cluster, { configuration, hosts: stale.join('') });
  return {
    tookHold: async () =>
      ((await lookUp(cluster, name))?.addresses ?? []).some((one) => vacant.includes(one)),
    mend,
  };
}

export async function slowDns(injection: Injection<FaultOf<'dns-slow'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const { hosts } = await contentOf(cluster);
  const port = FIRST_PORT + randomBelow(PORTS);
  const mend = await divert(injection, cluster, {
    port,
    protocols: ['udp'],
    command: relayCommand({
      ways: Object.values(cluster.dns).map((address) => ({
        listen: { address, port },
        to: { address, port: 53 },
      })),
      delayMs: fault.milliseconds,
      heldShare: 0,
      holdMs: 0,
    }),
    pidFile: faultFile(fleet, cluster.name, `${newFaultId()}-dns.pid`),
    files: [],
    means: 'a user-space relay',
  });
  const name = someName(hosts, cluster);
  return {
    async tookHold() {
      const answer = await lookUp(cluster, name);
      // Timers count whole milliseconds, and may end one early.
      return answer?.outcome === 'answered' && answer.durationMs >= fault.milliseconds - 1;
    },
    mend,
  };
}

const RELOAD_MS = 20_000;
const FOLLOW_MS = 5_000;

/** For `node -e`, with the controller's configuration and socket and the service as it was: puts its sharing back. */
const SHARE_AGAIN = `
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const [, file, socket, text] = process.argv;
const was = JSON.parse(text);
const config = JSON.parse(readFileSync(file, 'utf8'));
const one = config.services.find(({ spec }) => spec.namespace === was.spec.namespace && spec.name === was.spec.name);
if (one && !one.shared) {
  Object.assign(one, { shared: was.shared, clustersetIps: was.clustersetIps });
  writeFileSync(file + '.mended', JSON.stringify(config, undefined, 2), { mode: 0o600 });
  renameSync(file + '.mended', file);
  const connection = require('node:net').connect(socket, () => connection.write('{"method":"reload"}\\n'));
  connection.once('data', () => connection.destroy());
}
`;

export async function stopSharing(injection: Injection<FaultOf<'service-not-shared'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const { gateway } = cluster;
  const key = keyOf({ namespace: fault.namespace, name: fault.service });
  const file = path.join(gateway.folder, CONFIG_FILE);
  const socket = path.join(gateway.folder, SOCKET_FILE);
  const read = async () => {
    const config = JSON.parse((await readIfPresent(file)) ?? '{"services":[]}') as ControllerConfig;
    return { config, service: config.services.find(({ spec }) => keyOf(spec) === key) };
  };
  const { config, service } = await read();
  if (!service?.shared) throw new InternalError(`cluster ${cluster.name} does not share ${key}`);
  const again = quoteCommand([process.execPath, '-e', SHARE_AGAIN, file, socket, JSON.stringify(service)]);
  const mend = await prepareMending(injection, { netns: gateway.netns, cluster: cluster.name }, `${again}\n`);
  const { shared: _shared, ...kept } = service;
  const services = config.services.map((one) => (one === service ? { ...kept, clustersetIps: {} } : one));
  await gateway.writeFile(CONFIG_FILE, JSON.stringify({ ...config, services }, undefined, 2));
  const reply = JSON.parse(await askOverSocket(socket, '{"method":"reload"}', RELOAD_MS)) as ControllerReply;
  if (!reply.ok) throw new InternalError(`the controller of ${cluster.name} refused: ${reply.error}`);
  const others = fleet.clusters.filter(({ name }) => name !== cluster.name);
  const isKnownElsewhere = async (): Promise<boolean> => {
    const statuses = await Promise.all(others.map(({ name }) => clusterOf(fleet, name).controller.status()));
    return statuses.some(
      ({ services: known, upToDate }) =>
        !upToDate ||
        known.some((one) => one.service === key && one.endpoints.some((end) => end.cluster === cluster.name)),
    );
  };
  return {
    async tookHold() {
      const end = systemClock.monotonic() + FOLLOW_MS;
      while ((await read()).service?.shared === undefined) {
        if (!(await isKnownElsewhere())) return true;
        if (systemClock.monotonic() > end) return false;
        await systemClock.sleep(POLL_MS);
      }
      return false;
    },
    mend,
  };
}
