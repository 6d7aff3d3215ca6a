/** Global services: the same name in each cluster, with endpoints of all. */
import { applicable } from '../../model/applicable.ts';
import type {
  AppliedIntent,
  Cluster,
  IntentHandler,
  KubernetesCluster,
  KubernetesObject,
} from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { ShareServiceIntent } from '../../model/intent.ts';
import { asKubernetes, existing } from '../common/clusters.ts';
import { ANNOTATIONS } from './names.ts';

type Annotations = Readonly<Record<string, string>>;

/** Values of the annotation. */
export const AFFINITY = { spread: 'none', 'prefer-local': 'local', 'prefer-remote': 'remote' } as const;

/** Annotations of a service that its cluster shares. Pure. */
export const sharingAnnotations = ({
  preference,
  offered = true,
}: {
  readonly preference: ShareServiceIntent['preference'];
  readonly offered?: boolean;
}): Annotations => ({
  [ANNOTATIONS.global]: 'true',
  [ANNOTATIONS.shared]: String(offered),
  [ANNOTATIONS.affinity]: AFFINITY[preference],
});

/** Whether callers elsewhere are given its endpoints; what is said of sharing alone, Cilium takes for yes. Pure. */
export const isOffered = ({ metadata: { annotations = {} } }: KubernetesObject): boolean =>
  annotations[ANNOTATIONS.global] === 'true' && annotations[ANNOTATIONS.shared] !== 'false';

const OURS: ReadonlySet<string> = new Set(Object.values(ANNOTATIONS));

export const serviceReference = (namespace: string, name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
});

/** The same service with these annotations of Cilium and no others of it. */
export function annotated(service: KubernetesObject, annotations: Annotations): KubernetesObject {
  const object = applicable(service);
  const kept = Object.entries(object.metadata.annotations ?? {}).filter(([key]) => !OURS.has(key));
  return {
    ...object,
    metadata: { ...object.metadata, annotations: { ...Object.fromEntries(kept), ...annotations } },
  };
}

async function annotate(
  cluster: KubernetesCluster,
  namespace: string,
  name: string,
  annotations: Annotations,
): Promise<void> {
  const service = await existing(cluster, serviceReference(namespace, name));
  await cluster.objects.apply([annotated(service, annotations)]);
}

export const shareHandler: IntentHandler = {
  name: 'cilium-global-service',
  supports: (intent) =>
    intent.kind === 'share-service' || `cilium-global-service knows no intent of kind ${intent.kind}`,
  async apply(intent, where: Cluster): Promise<AppliedIntent> {
    if (intent.kind !== 'share-service') {
      throw new InternalError(`cilium-global-service was given an intent ${intent.kind}`);
    }
    const cluster = asKubernetes(where, 'Cilium');
    const namespace = cluster.namespaceOf(intent.namespace);
    const annotations = sharingAnnotations(intent);
    await annotate(cluster, namespace, intent.service, annotations);
    return {
      rendered: JSON.stringify({ service: `${namespace}/${intent.service}`, annotations }),
      settled: async () => {
        const service = await cluster.objects.read(serviceReference(namespace, intent.service));
        return service?.metadata.annotations?.[ANNOTATIONS.global] === 'true';
      },
      undo: () => annotate(cluster, namespace, intent.service, {}),
    };
  },
  addressFrom: (cluster, service) => cluster.serviceAddress(service),
};
