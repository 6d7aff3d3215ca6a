/** The parts of Consul in a cluster, as plain objects: a server, and a mesh gateway that all nodes lead to. Pure. */
import type { KubernetesObject } from '../../model/cluster.ts';
import {
  DNS,
  DNS_PORT,
  GATEWAY,
  GATEWAY_CONTAINER,
  GATEWAY_NODE_PORT,
  GATEWAY_PORT,
  SERVER,
  SERVER_CONTAINER,
  SERVER_PORTS,
  SYSTEM_NAMESPACE,
  clusterIdOf,
} from './names.ts';
import { ENVOY_OPTIONS, UNTAGGED } from './sidecars.ts';

type Images = { readonly consul: string; readonly consulEnvoy: string };

/** On the node: what a server knows outlives its pod, as it must, or every peering would be lost with it. */
const DATA_FOLDER = '/var/lib/mcnet-consul';
const HTTP = `http://${SERVER}:${SERVER_PORTS.http}`;

const fieldOf = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
const ADDRESSES = [fieldOf('POD_IP', 'status.podIP'), fieldOf('NODE_IP', 'status.hostIP')];

/** https://developer.hashicorp.com/consul/docs/agent/config/config-files */
export const serverConfiguration = (run: string, cluster: string): Record<string, unknown> => ({
  server: true,
  bootstrap_expect: 1,
  datacenter: cluster,
  node_name: SERVER,
  data_dir: '/consul/data',
  client_addr: '0.0.0.0',
  log_level: 'warn',
  // It would ask its vendor, and a cluster of a run talks to nobody.
  disable_update_check: true,
  // A trust domain that is known before the server is.
  connect: { enabled: true, ca_config: { cluster_id: clusterIdOf(run, cluster) } },
  peering: { enabled: true },
  ports: {
    dns: DNS_PORT,
    http: SERVER_PORTS.http,
    grpc: SERVER_PORTS.grpc,
    grpc_tls: SERVER_PORTS.grpcTls,
    serf_wan: -1,
  },
  performance: { raft_multiplier: 1 },
});

const namespace: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: SYSTEM_NAMESPACE },
};

const labelled = (app: string) => ({ name: app, namespace: SYSTEM_NAMESPACE, labels: { app } });

function deployment(app: string, pod: Record<string, unknown>): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: labelled(app),
    spec: {
      replicas: 1,
      // Never two at once: they would have the same data, or the same name.
      strategy: { type: 'Recreate' },
      selector: { matchLabels: { app } },
      template: {
        metadata: { labels: { app } },
        spec: { terminationGracePeriodSeconds: 5, automountServiceAccountToken: false, ...pod },
      },
    },
  };
}

/**
 * As the vendor's chart has it: what every call to another cluster goes through, and what tells proxies of endpoints, must
 * not stand behind pods that are starting.
 */
const CHART_CPU = '100m';

/** @param node that keeps the data */
export function serverObjects(
  { run, cluster, node }: { run: string; cluster: string; node: string },
  { consul }: Images,
): KubernetesObject[] {
  const ports = Object.entries(SERVER_PORTS).map(([name, port]) => ({ name: name.toLowerCase(), port }));
  return [
    namespace,
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: labelled(SERVER),
      data: { 'server.json': JSON.stringify(serverConfiguration(run, cluster), undefined, 1) },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: labelled(SERVER),
      spec: { selector: { app: SERVER }, ports },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: labelled(DNS),
      spec: {
        selector: { app: SERVER },
        ports: (['UDP', 'TCP'] as const).map((protocol) => ({
          name: protocol.toLowerCase(),
          protocol,
          port: 53,
          targetPort: DNS_PORT,
        })),
      },
    },
    deployment(SERVER, {
      nodeSelector: { 'kubernetes.io/hostname': node },
      containers: [
        {
          name: SERVER_CONTAINER,
          image: consul,
          imagePullPolicy: 'IfNotPresent',
          command: [
            'sh',
            '-c',
            'exec consul agent -config-dir=/consul/config -bind=0.0.0.0 -advertise="$POD_IP"',
          ],
          env: ADDRESSES,
          readinessProbe: {
            // It refuses while there is no leader. By a command, a look a second would take a third of a processor.
            httpGet: { path: '/v1/catalog/services', port: SERVER_PORTS.http },
            periodSeconds: 1,
            timeoutSeconds: 5,
            failureThreshold: 3,
          },
          resources: { requests: { cpu: CHART_CPU, memory: '128Mi' }, limits: { memory: '1Gi' } },
          volumeMounts: [
            { name: 'config', mountPath: '/consul/config' },
            { name: 'data', mountPath: '/consul/data' },
          ],
        },
      ],
      volumes: [
        { name: 'config', configMap: { name: SERVER } },
        { name: 'data', hostPath: { path: DATA_FOLDER, type: 'DirectoryOrCreate' } },
      ],
    }),
  ];
}

/** For `PUT /v1/agent/service/register`; `$POD_IP` and `$NODE_IP` are the shell's. */
const gatewayRegistration = JSON.stringify({
  Kind: GATEWAY,
  ID: GATEWAY,
  Name: GATEWAY,
  Address: '@POD_IP@',
  Port: GATEWAY_PORT,
  TaggedAddresses: {
    lan: { Address: '@POD_IP@', Port: GATEWAY_PORT },
    wan: { Address: '@NODE_IP@', Port: GATEWAY_NODE_PORT },
  },
  Proxy: { Config: UNTAGGED },
  Check: { CheckID: `${GATEWAY}-listens`, Name: 'listens', TCP: `@POD_IP@:${GATEWAY_PORT}`, Interval: '1s' },
});

export function gatewayObjects({ consul, consulEnvoy }: Images): KubernetesObject[] {
  const bootstrap = { name: 'bootstrap', mountPath: '/bootstrap' };
  const small = { requests: { cpu: '20m', memory: '64Mi' }, limits: { memory: '512Mi' } };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: labelled(GATEWAY),
      spec: {
        type: 'NodePort',
        selector: { app: GATEWAY },
        ports: [{ name: 'mesh', port: GATEWAY_PORT, nodePort: GATEWAY_NODE_PORT }],
      },
    },
    deployment(GATEWAY, {
      initContainers: [
        {
          name: 'register',
          image: consul,
          imagePullPolicy: 'IfNotPresent',
          command: [
            'sh',
            '-ec',
            [
              `printf %s '${gatewayRegistration}' | sed "s/@POD_IP@/$POD_IP/g; s/@NODE_IP@/$NODE_IP/g" |`,
              `  curl -sS --fail --retry 60 --retry-delay 1 --retry-all-errors -o /dev/null -X PUT --data-binary @- ${HTTP}/v1/agent/service/register`,
              `consul connect envoy -gateway=mesh -proxy-id ${GATEWAY} -bootstrap -http-addr ${HTTP} \\`,
              `  -grpc-addr ${SERVER}:${SERVER_PORTS.grpc} -admin-bind 127.0.0.1:19000 > /bootstrap/envoy.json`,
            ].join('\n'),
          ],
          env: ADDRESSES,
          resources: small,
          volumeMounts: [bootstrap],
        },
      ],
      containers: [
        {
          name: GATEWAY_CONTAINER,
          image: consulEnvoy,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', `exec envoy -c /bootstrap/envoy.json ${ENVOY_OPTIONS}`],
          readinessProbe: { tcpSocket: { port: GATEWAY_PORT }, periodSeconds: 1 },
          resources: { ...small, requests: { ...small.requests, cpu: CHART_CPU } },
          volumeMounts: [bootstrap],
        },
      ],
      volumes: [{ name: 'bootstrap', emptyDir: {} }],
    }),
  ];
}
