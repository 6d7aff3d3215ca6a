/** The pod of a workload, and what it runs in. Pure. */
import type { KubernetesObject } from '../../model/cluster.ts';
import type { Toleration } from '../../model/spec.ts';
import {
  COMPANION_FOLDER,
  type Companion,
  PORTS,
  TIMED_CPU,
  type WorkloadSpec,
} from '../../model/workload.ts';
import {
  AGENT_CONTAINER,
  AGENT_FOLDER,
  AGENT_PROGRAM,
  AGENT_SOCKET,
  ANNOTATIONS,
  LABELS,
  runLabels,
  serviceAccountOf,
} from './names.ts';

/** How pods are to be in one cluster. */
export interface PodSettings {
  readonly run: string;
  readonly cluster: string;
  readonly image: string;
  readonly imagePullPolicy: 'IfNotPresent' | 'Never' | 'Always';
  /** Root with all capabilities, for checks that disturb a workload from inside; else as Pod Security restricted has it. */
  readonly privileged: boolean;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  readonly imagePullSecrets: readonly string[];
  /** RFC 3339. */
  readonly expiresAt: string;
}

/** An agent leaves at once, and none of its connections is worth waiting for. */
const GRACE_SECONDS = 2;

/** Requests, which are also the weights by which processors are shared; nothing keeps a pod from using more. */
const CPU = '15m';

const HEALTH = { httpGet: { path: '/healthz', port: PORTS.http }, timeoutSeconds: 3 };

/** @param namespace its name in the cluster */
export function podOf(spec: WorkloadSpec, namespace: string, settings: PodSettings): KubernetesObject {
  const { run, cluster } = settings;
  const { companions = [] } = spec;
  const before = companions.filter(({ first }) => first);
  const beside = companions.filter(({ first }) => !first);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: spec.name,
      namespace,
      labels: { ...spec.labels, [LABELS.workload]: spec.name, ...runLabels(run) },
      annotations: {
        ...spec.annotations,
        [ANNOTATIONS.spec]: JSON.stringify(spec),
        [ANNOTATIONS.expires]: settings.expiresAt,
      },
    },
    spec: {
      serviceAccountName: serviceAccountOf(spec),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: GRACE_SECONDS,
      ...placement(settings, spec.node),
      securityContext: podSecurity(settings),
      ...(before.length > 0 && {
        initContainers: before.map((companion) => companionContainer(companion, settings)),
      }),
      containers: [
        {
          name: AGENT_CONTAINER,
          image: settings.image,
          imagePullPolicy: settings.imagePullPolicy,
          command: [AGENT_PROGRAM],
          // The namespace as it is in specifications: by that a check knows who answered.
          args: [
            ...['--socket', AGENT_SOCKET],
            ...['--cluster', cluster],
            ...['--namespace', spec.namespace],
            ...['--workload', spec.name],
          ],
          ports: [
            { name: 'echo', containerPort: PORTS.echo, protocol: 'TCP' },
            { name: 'echo-udp', containerPort: PORTS.echo, protocol: 'UDP' },
            { name: 'http', containerPort: PORTS.http, protocol: 'TCP' },
            { name: 'http-service', containerPort: PORTS.service, protocol: 'TCP' },
          ],
          // Often until it runs, and rarely afterwards: what kubelets ask of many pods, the machine has to answer.
          startupProbe: { ...HEALTH, periodSeconds: 1, failureThreshold: 120 },
          readinessProbe: { ...HEALTH, periodSeconds: 10, failureThreshold: 3 },
          resources: {
            requests: { cpu: spec.timed ? TIMED_CPU : CPU, memory: '64Mi' },
            limits: { memory: '768Mi' },
          },
          securityContext: containerSecurity(settings),
          volumeMounts: [
            { name: 'agent', mountPath: AGENT_FOLDER },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
        ...beside.map((companion) => companionContainer(companion, settings)),
      ],
      volumes: [
        ...(companions.length > 0 ? [{ name: COMPANIONS, emptyDir: {} }] : []),
        { name: 'agent', emptyDir: {} },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  };
}

const COMPANIONS = 'companions';
/** Nobody's, and neither the agent's nor root's. */
const COMPANION_USER = 5_995;

const fieldOf = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

function companionContainer(companion: Companion, settings: PodSettings): Record<string, unknown> {
  const { name, image, command, ownsNetwork, readyPort, cpu, memory, memoryLimit } = companion;
  return {
    name,
    image,
    imagePullPolicy: settings.imagePullPolicy,
    command,
    env: [
      fieldOf('POD_IP', 'status.podIP'),
      fieldOf('NODE_IP', 'status.hostIP'),
      fieldOf('POD_NAME', 'metadata.name'),
    ],
    ...(readyPort !== undefined && {
      startupProbe: { tcpSocket: { port: readyPort }, periodSeconds: 1, failureThreshold: 120 },
    }),
    resources: { requests: { cpu, memory }, limits: { memory: memoryLimit } },
    securityContext: ownsNetwork
      ? { runAsUser: 0, runAsNonRoot: false, capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] } }
      : {
          runAsUser: COMPANION_USER,
          runAsNonRoot: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
    volumeMounts: [{ name: COMPANIONS, mountPath: COMPANION_FOLDER }],
  };
}

function placement(settings: PodSettings, node: string | undefined): Record<string, unknown> {
  const { nodeSelector, tolerations, imagePullSecrets, run } = settings;
  return {
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
    ...(tolerations.length > 0 && {
      tolerations: tolerations.map(({ key, value, effect }) => ({
        key,
        operator: value === undefined ? 'Exists' : 'Equal',
        ...(value !== undefined && { value }),
        ...(effect !== undefined && { effect }),
      })),
    }),
    ...(imagePullSecrets.length > 0 && { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
    // Through the scheduler, so that it says why it cannot be.
    ...(node !== undefined && {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }],
          },
        },
      },
    }),
    // Paths between nodes break more often than those within one.
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [LABELS.run]: run } },
      },
    ],
  };
}

/** `ping` without a capability: Pod Security restricted counts this sysctl among the safe ones. */
const PING = { name: 'net.ipv4.ping_group_range', value: '0 2147483647' };

function podSecurity({ privileged }: PodSettings): Record<string, unknown> {
  return privileged
    ? { runAsUser: 0, runAsNonRoot: false, sysctls: [PING] }
    : { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, sysctls: [PING] };
}

function containerSecurity({ privileged }: PodSettings): Record<string, unknown> {
  return privileged
    ? { privileged: true }
    : {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      };
}

/** @param name as it is in the cluster @param namespace as it is in specifications */
export function namespaceOf(name: string, namespace: string, settings: PodSettings): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: {
        ...runLabels(settings.run),
        [LABELS.namespace]: namespace,
        ...(settings.privileged
          ? { 'pod-security.kubernetes.io/enforce': 'privileged' }
          : // What the cluster enforces by itself stays: a technology's own containers may need more than ours.
            {
              'pod-security.kubernetes.io/warn': 'restricted',
              'pod-security.kubernetes.io/audit': 'restricted',
            }),
      },
      annotations: { [ANNOTATIONS.expires]: settings.expiresAt },
    },
  };
}

export function serviceAccountObject(spec: WorkloadSpec, namespace: string): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccountOf(spec), namespace },
    automountServiceAccountToken: false,
  };
}
