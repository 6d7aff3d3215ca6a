/**
 * What stands beside a workload: it registers itself at its cluster's server, with a proxy for each service that it
 * answers, since a proxy of Consul stands for one service and has that one's identity. Pure.
 */
import type { Profile } from '../../model/cluster.ts';
import type { Intent } from '../../model/intent.ts';
import { pathBetween } from '../../model/topology.ts';
import {
  COMPANION_FOLDER,
  type Companion,
  PORTS,
  type ServiceSpec,
  TIMED_CPU,
  type WorkloadSpec,
  keyOf,
  selects,
} from '../../model/workload.ts';
import { quoteCommand } from '../../system/commands.ts';
import {
  type ConfigEntry,
  type Treatment,
  USUAL,
  callerDefaults,
  protocolEntries,
  treatments,
} from './entries.ts';
import {
  type CarriedPort,
  PROXIES,
  PROXY_PORTS,
  REGISTRAR,
  SERVER,
  SERVER_PORTS,
  SERVICES_ANNOTATION,
  SYSTEM_NAMESPACE,
  VIRTUAL_RANGE,
  carriedPorts,
  identityName,
  routeName,
} from './names.ts';
import { type ConsulOptions, EJECTION_MS, imagesOf } from './options.ts';

const SERVER_HOST = `${SERVER}.${SYSTEM_NAMESPACE}.svc`;
const HTTP = `http://${SERVER_HOST}:${SERVER_PORTS.http}`;
/** Stands for the pod's address until the pod knows it. */
const POD_IP = '@POD_IP@';

/** The least that Consul takes; what it notices of backends it notices by this. */
const CHECK_INTERVAL = '1s';
/** Short enough to notice what is frozen; less would take for dead what a busy machine is late with. */
const CHECK_TIMEOUT = '3s';

interface Upstream {
  readonly host: string;
  readonly port: number;
  /** Of Consul. */
  readonly name: string;
  readonly protocol: CarriedPort['protocol'];
  /** One for each cluster whose instances come first; connections are spread over them. */
  readonly routes: readonly string[];
}

/** What callers in this cluster may call, port by port. */
function upstreamsOf(
  services: readonly ServiceSpec[],
  clusters: readonly string[],
  prefix: string | undefined,
): Upstream[] {
  const inCluster = (namespace: string): string =>
    prefix === undefined ? namespace : `${prefix}-${namespace}`;
  return services.flatMap((service) =>
    carriedPorts(service, service.namespace).map(({ name, port, protocol }) => ({
      host: `${service.name}.${inCluster(service.namespace)}.svc`,
      port,
      name,
      protocol,
      routes: clusters.map((cluster) => routeName(name, cluster)),
    })),
  );
}

/**
 * Services that a workload answers: who it is itself, and those that select it. One that is called like the workload is
 * the same as itself.
 */
function answered(spec: WorkloadSpec, services: readonly ServiceSpec[]): CarriedPort[] {
  const own: CarriedPort = {
    name: identityName(spec, spec.namespace),
    port: PORTS.service,
    protocol: 'http',
  };
  const others = services
    .filter((service) => service.namespace === spec.namespace && selects(service.selector, spec.labels))
    .flatMap((service) => carriedPorts(service, service.namespace))
    .filter(({ name }) => name !== own.name);
  return [own, ...others];
}

/**
 * What servers must know of a caller before it registers: with every change of it they make its whole configuration anew, and
 * what then changes while word of endpoints is under way takes these from its proxy for 15 s (hashicorp/consul#19866).
 */
function beforehand(
  caller: Parameters<typeof callerDefaults>[0],
  upstreams: readonly Upstream[],
  treated: ReadonlyMap<string, Treatment>,
): ConfigEntry[] {
  return [
    callerDefaults(caller, treated),
    ...upstreams.flatMap(({ name, protocol, routes }) =>
      [name, ...routes].flatMap((one) => protocolEntries({ name: one, protocol })),
    ),
  ];
}

/** How callers in this cluster treat endpoints that fail, where it is not usual, of services that are shared from the beginning. */
function treatedFrom(
  intents: readonly Intent[],
  services: readonly ServiceSpec[],
  clusters: readonly string[],
  cluster: string,
): Map<string, Treatment> {
  const place = { cluster, peers: clusters.filter((name) => name !== cluster) };
  return new Map(
    intents.flatMap((intent) => {
      if (intent.kind !== 'share-service') return [];
      const key = keyOf({ namespace: intent.namespace, name: intent.service });
      const service = services.find((one) => keyOf(one) === key);
      const names = service ? carriedPorts(service, service.namespace).map(({ name }) => name) : [];
      return treatments(intent, names, place).filter(([, treatment]) => treatment !== USUAL);
    }),
  );
}

/** What a workload calls by one of its proxies. */
interface Calling {
  readonly upstreams?: readonly Upstream[];
  /** Whatever servers know, by the addresses that they give. */
  readonly transparent?: boolean;
}

/**
 * Consul has Envoy look for thirty patterns in the name of each statistic, which takes a tenth of a second of a processor
 * for every service that a proxy is told of; the labels are for who collects statistics, and here nobody does.
 */
export const UNTAGGED = { envoy_stats_config_json: JSON.stringify({ use_all_default_tags: false }) };

/** For `PUT /v1/agent/service/register`. */
export function registrationOf(
  { name, port, protocol }: CarriedPort,
  index: number,
  pod: string,
  { upstreams = [], transparent = false }: Calling = {},
): Record<string, unknown> {
  const id = `${name}-${pod}`;
  const health = PROXY_PORTS.health + index;
  const bound = upstreams.flatMap(({ routes }) => routes);
  return {
    ID: id,
    Name: name,
    Address: POD_IP,
    Port: port,
    // By way of the proxy: what does not answer through it is of no use to callers.
    Check: {
      CheckID: `${id}-health`,
      Name: 'answers through its proxy',
      HTTP: `http://${POD_IP}:${health}/healthz`,
      Interval: CHECK_INTERVAL,
      Timeout: CHECK_TIMEOUT,
    },
    Connect: {
      SidecarService: {
        Address: POD_IP,
        Port: PROXY_PORTS.public + index,
        // Consul's own would let it wait ten seconds for the first look.
        Checks: [{ CheckID: `${id}-proxy`, Name: 'its service', AliasService: id }],
        Proxy: {
          LocalServiceAddress: '127.0.0.1',
          Config: { protocol, ...UNTAGGED },
          ...(transparent && {
            Mode: 'transparent',
            TransparentProxy: { OutboundListenerPort: PROXY_PORTS.outbound },
          }),
          Expose: {
            Paths: [
              // What answers is the agent itself on the ports that have no health of their own.
              {
                Path: '/healthz',
                LocalPathPort: port >= PORTS.backends ? port : PORTS.http,
                ListenerPort: health,
                Protocol: 'http',
              },
            ],
          },
          ...(bound.length > 0 && {
            Upstreams: bound.map((route, place) => ({
              DestinationType: 'service',
              DestinationName: route,
              LocalBindAddress: '127.0.0.1',
              LocalBindPort: PROXY_PORTS.upstream + place,
            })),
          }),
        },
      },
    },
  };
}

/** Ports of a workload that take nothing but what its proxies accept. */
export const GUARDED_PORTS = `${PORTS.service},${PORTS.serviceTcp},${PORTS.backends}:${PORTS.backends + 99}`;
/** Chain of the pod's NAT table through which connections from outside go to the proxy. */
export const INBOUND_CHAIN = 'MCNET_INBOUND';

/** Connections to the address of a service go to the proxy, evenly to each route. */
function interception({ upstreams = [], transparent = false }: Calling): string[] {
  let bound = PROXY_PORTS.upstream;
  const outbound = upstreams.flatMap(({ host, port, routes }) => [
    `address=$(getent ahostsv4 ${host} | awk '{ print $1; exit }')`,
    ...routes.map((_, index) => {
      const left = routes.length - index;
      const share = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(6)}`;
      return `iptables -w -t nat -A OUTPUT -p tcp -d "$address" --dport ${port}${share} -j REDIRECT --to-ports ${bound++}`;
    }),
  ]);
  return [
    // A second attempt begins as the first did.
    'iptables -w -t nat -F; iptables -w -t nat -X',
    `iptables -w -t nat -N ${INBOUND_CHAIN}`,
    `iptables -w -t nat -A ${INBOUND_CHAIN} -p tcp -m multiport --dports ${GUARDED_PORTS} -j REDIRECT --to-ports ${PROXY_PORTS.public}`,
    `iptables -w -t nat -A PREROUTING -p tcp -j ${INBOUND_CHAIN}`,
    ...(transparent
      ? [
          `iptables -w -t nat -A OUTPUT -p tcp -d ${VIRTUAL_RANGE} -j REDIRECT --to-ports ${PROXY_PORTS.outbound}`,
        ]
      : []),
    ...outbound,
  ];
}

/** As curl reads its configuration. */
const inQuotes = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;

/** As curl reads it: all of them by one process, each tried again while the server is not there. */
const saying = (requests: readonly { readonly path: string; readonly body: unknown }[]): string =>
  `fail-early\n${requests
    .map(({ path, body }) =>
      [
        `url = "${HTTP}${path}"`,
        'request = "PUT"',
        `data-binary = ${inQuotes(JSON.stringify(body))}`,
        'output = "/dev/null"',
        'silent',
        'show-error',
        'fail',
        'retry = 60',
        'retry-delay = 1',
        'retry-all-errors',
        '',
      ].join('\n'),
    )
    .join('next\n')}`;

/** What tells proxies of one workload apart in what they are started with. */
const FIRST = `${COMPANION_FOLDER}/0.json`;

/** What Consul sets for Envoy's runtime, which the rest of a bootstrap is found by. */
const RUNTIME = '"re2.max_program_size.error_level"';
/** https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_runtime */
const EJECTION_KEYS = ['base_ejection_time_ms', 'max_ejection_time_ms'];
const ejecting = (tuning: ConsulOptions['tuning']): string[] =>
  tuning === 'fast'
    ? [
        `sed -i 's/${RUNTIME}/${EJECTION_KEYS.map((key) => `"outlier_detection.${key}": ${EJECTION_MS[tuning]}, `).join('')}&/' ${FIRST}; grep -q base_ejection ${FIRST}`,
      ]
    : [];

function registering(
  services: readonly CarriedPort[],
  { pod, tuning }: { readonly pod: string; readonly tuning: ConsulOptions['tuning'] },
  calling: Calling,
  entries: readonly ConfigEntry[],
): string[] {
  const proxyOf = ({ name }: CarriedPort): string => `${name}-${pod}-sidecar-proxy`;
  const [first] = services as readonly [CarriedPort, ...CarriedPort[]];
  const requests = [
    ...entries.map((body) => ({ path: '/v1/config', body })),
    ...services.map((service, index) => ({
      path: '/v1/agent/service/register',
      body: registrationOf(service, index, pod, index === 0 ? calling : {}),
    })),
  ];
  return [
    `${quoteCommand(['printf', '%s', saying(requests)])} | sed "s/${POD_IP}/$POD_IP/g" | curl --config -`,
    `consul connect envoy -sidecar-for ${first.name}-${pod} -bootstrap -http-addr ${HTTP} -grpc-addr ${SERVER_HOST}:${SERVER_PORTS.grpc} \\`,
    `  -admin-bind 127.0.0.1:${PROXY_PORTS.admin} > ${FIRST}`,
    ...ejecting(tuning),
    // They differ in nothing else, and a process of Consul's for each takes its time.
    ...services
      .slice(1)
      .flatMap((service, index) => [
        `sed 's/"${proxyOf(first)}"/"${proxyOf(service)}"/; s/"cluster": "${first.name}"/"cluster": "${service.name}"/; s/"port_value": ${PROXY_PORTS.admin}$/"port_value": ${PROXY_PORTS.admin + index + 1}/' ${FIRST} > ${COMPANION_FOLDER}/${index + 1}.json`,
      ]),
  ];
}

/**
 * How Envoy is started: a refusal has to reach connections that are open already, at once. Of what it calls deprecated in
 * Consul's words it would say several hundred lines, and nothing else would be left of its log.
 */
export const ENVOY_OPTIONS =
  '--disable-hot-restart --concurrency 1 --drain-time-s 1 --drain-strategy immediate --log-level warning --component-log-level misc:error';

/** How often proxies that do not last are looked after. */
const LOOK_SECONDS = 0.5;
/** Their backends may crash and come again: looks without one after which they are not needed any more. */
const IDLE_LOOKS = 60;

/**
 * Proxies side by side: those of services whose backends come and go run only while there is one, since each takes as much
 * memory as a small server. The shell forks nothing while it waits.
 */
function proxying(own: readonly CarriedPort[]): string {
  const envoy = (index: number | string): string =>
    `envoy -c ${COMPANION_FOLDER}/${index}.json ${ENVOY_OPTIONS} &`;
  const lasting = own.flatMap(({ started }, index) => (started ? [] : [index]));
  const coming = own.flatMap(({ started, port }, index) => (started ? [`[${index}]=${port}`] : []));
  return [
    'trap "kill 0" TERM',
    ...lasting.map((index) => `${envoy(index)} lasting+=($!)`),
    // One that is gone takes the others along: the pod starts all of them anew.
    ...(coming.length === 0
      ? ['wait -n']
      : [
          `ports=(${coming.join(' ')})`,
          'exec 9<> <(:)',
          `while read -rt ${LOOK_SECONDS} -u 9 _; [ $? -gt 128 ]; do`,
          '  for proxy in "${lasting[@]}"; do kill -0 "$proxy" 2> /dev/null || exit 1; done',
          '  for index in "${!ports[@]}"; do',
          '    if true 2> /dev/null < "/dev/tcp/127.0.0.1/${ports[index]}"; then',
          `      idle[index]=0; [ -n "\${running[index]}" ] || { ${envoy('$index')} running[index]=$!; }`,
          `    elif [ -n "\${running[index]}" ] && [ $((idle[index] += 1)) -ge ${IDLE_LOOKS} ]; then`,
          '      kill "${running[index]}"; running[index]=\'\'',
          '    fi',
          '  done',
          'done',
        ]),
  ].join('\n');
}

export function decorateFor(options: ConsulOptions): Profile['decorate'] {
  const { topology, kubernetes, tuning } = options;
  const images = imagesOf(options);
  return (spec, cluster, services, intents = []) => {
    if (!spec.overServices) return spec;
    const reachable = topology.members
      .map(({ name }) => name)
      .filter((name) => name === cluster || pathBetween(topology, cluster, name).kind !== 'forbidden');
    const upstreams = spec.answersOnly ? [] : upstreamsOf(services, reachable, kubernetes.namespace);
    const byPeerName = spec.callsByPeerName ?? false;
    const calling: Calling = { upstreams, transparent: byPeerName };
    const own = answered(spec, services);
    const caller = { name: identityName(spec, spec.namespace), byPeerName };
    const entries =
      spec.answersOnly && !byPeerName
        ? []
        : beforehand(
            caller,
            upstreams,
            spec.answersOnly ? new Map() : treatedFrom(intents, services, reachable, cluster),
          );
    const lasting = own.filter(({ started }) => !started);
    const small = { cpu: '5m', memory: '16Mi', memoryLimit: '128Mi' };
    const companions: Companion[] = [
      {
        name: 'consul-init',
        image: images.consul,
        command: [
          'sh',
          '-ec',
          [
            ...interception(calling),
            ...registering(own, { pod: spec.name, tuning }, calling, entries),
            '',
          ].join('\n'),
        ],
        first: true,
        ownsNetwork: true,
        ...small,
        memoryLimit: '256Mi',
      },
      {
        name: PROXIES,
        image: images.consulEnvoy,
        command: ['bash', '-c', proxying(own)],
        readyPort: PROXY_PORTS.public,
        cpu: spec.timed ? TIMED_CPU : `${5 * lasting.length}m`,
        memory: `${32 * lasting.length}Mi`,
        memoryLimit: `${256 + 128 * own.length}Mi`,
      },
      {
        name: REGISTRAR,
        image: images.consul,
        command: [
          'sh',
          '-c',
          [
            'leave() {',
            ...own.map(
              ({ name }) =>
                `  curl -sS -m 2 -X PUT ${HTTP}/v1/agent/service/deregister/${name}-${spec.name} &`,
            ),
            '  wait; exit 0',
            '}',
            'trap leave TERM',
            'while :; do sleep 3600 & wait $!; done',
          ].join('\n'),
        ],
        ownsNetwork: true,
        ...small,
      },
    ];
    return {
      ...spec,
      annotations: { ...spec.annotations, [SERVICES_ANNOTATION]: own.map(({ name }) => name).join(',') },
      companions,
    };
  };
}
