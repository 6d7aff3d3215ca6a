/** Kubeconfig files. The client library is half a second to load: only when something of it is needed. */
import { KubernetesError } from './errors.ts';
import type * as client from './library.ts';

export type Library = typeof client;

export const loadLibrary = (): Promise<Library> => import('./library.ts');

/** @param file absent: as kubectl finds it (KUBECONFIG, then ~/.kube/config) @throws KubernetesError */
async function readKubeconfig(library: Library, file: string | undefined): Promise<client.KubeConfig> {
  const config = new library.KubeConfig();
  try {
    if (file === undefined) config.loadFromDefault();
    else config.loadFromFile(file);
  } catch (error) {
    throw new KubernetesError('kubeconfig', `${file ?? 'the kubeconfig'} cannot be read: ${wordsOf(error)}`, {
      cause: error,
    });
  }
  return config;
}

/** What the library makes up where there is no kubeconfig at all. */
const MADE_UP = 'loaded-context';

const namesIn = (config: client.KubeConfig): string[] =>
  config
    .getContexts()
    .map(({ name }) => name)
    .filter((name) => name !== MADE_UP);

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Set to one context, once and for all. @throws KubernetesError when there is none of this name */
export async function configFor(file: string | undefined, context: string): Promise<client.KubeConfig> {
  const library = await loadLibrary();
  const config = await readKubeconfig(library, file);
  const known = namesIn(config);
  if (!known.includes(context)) {
    throw new KubernetesError(
      'kubeconfig',
      `there is no context "${context}" in ${file ?? 'the kubeconfig'}: it has ${known.join(', ') || 'none'}`,
    );
  }
  config.setCurrentContext(context);
  if (!config.getCurrentCluster()) {
    throw new KubernetesError('kubeconfig', `the context "${context}" names a cluster that is not there`);
  }
  return config;
}

/** Names of the contexts in the order of the file. */
export async function contextsOf(file: string | undefined): Promise<string[]> {
  const config = await readKubeconfig(await loadLibrary(), file);
  return namesIn(config);
}

/** A kubeconfig with this context only: it holds credentials. */
export async function extractContext(file: string | undefined, context: string): Promise<string> {
  const config = await configFor(file, context);
  const wanted = config.getContextObject(context);
  const only = new (await loadLibrary()).KubeConfig();
  only.loadFromOptions({
    contexts: [wanted],
    clusters: config.getClusters().filter(({ name }) => name === wanted?.cluster),
    users: config.getUsers().filter(({ name }) => name === wanted?.user),
    currentContext: context,
  });
  return only.exportConfig();
}
