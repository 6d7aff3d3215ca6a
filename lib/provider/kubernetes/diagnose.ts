/** What a person would look at first when workloads of a cluster misbehave. Bounded; secrets are never asked for. */
import type { KubernetesObject, Workload } from '../../model/cluster.ts';
import { messageOf } from '../../model/errors.ts';
import { keyOf } from '../../model/workload.ts';
import { AGENT_CONTAINER, runSelector } from './names.ts';
import type { ClusterObjects } from './objects.ts';

const LOG_LINES = 100;
const MOST_EVENTS = 200;
/** Pods whose log and routes are asked for: a large run has more than anybody reads. */
const MOST_PODS = 24;

type Answer = readonly [file: string, text: string];

/** @returns text by file name; a question that could not be answered holds the reason */
export async function diagnoseCluster(
  objects: ClusterObjects,
  run: string,
  workloads: readonly Workload[],
): Promise<Readonly<Record<string, string>>> {
  const ask = async (file: string, question: () => Promise<string>): Promise<Answer> => [
    file,
    await question().catch(messageOf),
  ];
  const labelSelector = runSelector(run);
  const listed = (file: string, apiVersion: string, kind: string): Promise<Answer> =>
    ask(file, async () => asText(await objects.list({ apiVersion, kind, labelSelector })));
  const pods = await objects
    .list({ apiVersion: 'v1', kind: 'Pod', labelSelector })
    .catch((): readonly KubernetesObject[] => []);
  const namespaces = [...new Set(pods.map(({ metadata }) => metadata.namespace ?? ''))];
  const some = pods.slice(0, MOST_PODS);
  const answers = await Promise.all([
    ask('pods.json', async () => asText(pods)),
    listed('services.json', 'v1', 'Service'),
    listed('network-policies.json', 'networking.k8s.io/v1', 'NetworkPolicy'),
    ask('nodes.json', async () => asText(await objects.list({ apiVersion: 'v1', kind: 'Node' }))),
    ...namespaces.flatMap((namespace) => [
      ask(`events-${namespace}.txt`, async () =>
        eventsOf(await objects.list({ apiVersion: 'v1', kind: 'Event', namespace })),
      ),
      ask(`endpoint-slices-${namespace}.json`, async () =>
        asText(await objects.list({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', namespace })),
      ),
    ]),
    ...some.flatMap((pod) => containersOf(pod).map((container) => logOf(objects, pod, container))),
    ...workloads
      .slice(0, MOST_PODS)
      .map(({ spec, probe }) =>
        ask(`workload-${keyOf(spec).replace('/', '-')}.json`, async () =>
          JSON.stringify(await probe.facts(), undefined, 1),
        ),
      ),
  ]);
  return Object.fromEntries(answers);
}

async function logOf(objects: ClusterObjects, pod: KubernetesObject, container: string): Promise<Answer> {
  const { name, namespace = '' } = pod.metadata;
  const suffix = container === AGENT_CONTAINER ? '' : `-${container}`;
  const log = await objects.log({ namespace, name, container }, { lines: LOG_LINES }).catch(messageOf);
  return [`log-${namespace}-${name}${suffix}.txt`, log];
}

function containersOf(pod: KubernetesObject): string[] {
  const { containers = [], initContainers = [] } = (pod['spec'] ?? {}) as {
    readonly containers?: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  return [...initContainers, ...containers].map(({ name }) => name);
}

/** What the API server adds for itself is left out: it is longer than the rest. */
function asText(objects: readonly KubernetesObject[]): string {
  const shown = objects.map((object) => {
    const { managedFields: _, ...metadata } = object.metadata;
    return { ...object, metadata };
  });
  return JSON.stringify(shown, undefined, 1);
}

function eventsOf(events: readonly KubernetesObject[]): string {
  return events
    .map((event) => {
      const { lastTimestamp, eventTime, type, reason, message, involvedObject, count } = event as unknown as {
        readonly lastTimestamp?: string;
        readonly eventTime?: string;
        readonly type?: string;
        readonly reason?: string;
        readonly message?: string;
        readonly count?: number;
        readonly involvedObject?: { readonly kind?: string; readonly name?: string };
      };
      const at = lastTimestamp ?? eventTime ?? '';
      const about = `${involvedObject?.kind ?? ''}/${involvedObject?.name ?? ''}`;
      return `${at} ${type ?? ''} ${reason ?? ''} ${about} ×${count ?? 1}: ${message ?? ''}`;
    })
    .toSorted()
    .slice(-MOST_EVENTS)
    .join('\n');
}
