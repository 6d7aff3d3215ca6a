/** What an API server or a pod says, in words for whoever can mend it. */
import { UserError } from '../../model/errors.ts';
import { KubernetesError } from '../../system/kubernetes/errors.ts';

const REMEDIES: Readonly<Record<KubernetesError['failure'], string>> = {
  refused: 'Read what the API server says; a quota, an admission policy or a version may be in the way',
  'not-found': 'Install what is missing, or choose another cluster',
  forbidden: 'Ask for this right (a Role or ClusterRole and its binding), or use a context whose user has it',
  unauthorized: 'Log in again: the credentials of this context are not accepted',
  conflict: 'Somebody else changes the same object: look at its managed fields',
  unreachable: 'Check that the cluster runs and that its API server can be reached from here',
  tls: 'Check the certificate authority of this context; after a cluster was made anew its kubeconfig is stale',
  'timed-out': 'Look at the load of the API server and of the network to it',
  kubeconfig: '`kubectl config get-contexts` shows what there is; `--kubeconfig` chooses another file',
};

/** An API error becomes one of the user's; anything else stays as it is. */
export function asUserError(error: unknown, cluster: string): unknown {
  if (!(error instanceof KubernetesError)) return error;
  return new UserError(error.message, {
    where: `cluster ${cluster}`,
    remedy: REMEDIES[error.failure],
    cause: error,
  });
}

/** Does something in a cluster. @throws UserError for what the API server refuses */
export async function inCluster<T>(cluster: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw asUserError(error, cluster);
  }
}

export const isFailure = (error: unknown, failure: KubernetesError['failure']): boolean =>
  error instanceof KubernetesError
    ? error.failure === failure
    : error instanceof UserError && error.cause instanceof KubernetesError && error.cause.failure === failure;
