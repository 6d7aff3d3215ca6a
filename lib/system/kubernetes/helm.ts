import { runCommand } from '../commands.ts';

export interface HelmRelease {
  /** The program; looked for on the PATH when it is a bare name. */
  readonly helm: string;
  readonly name: string;
  /** A folder, an archive, or a name as helm knows it. */
  readonly chart: string;
  readonly namespace: string;
  readonly kubeconfig: string;
  readonly values: object;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Installs a release, or makes it what the values say. Values go by standard input: they may hold keys.
 * @throws CommandError with helm's own words
 */
export const helmUpgrade = ({
  helm,
  name,
  chart,
  namespace,
  kubeconfig,
  values,
  timeoutMs,
  signal,
}: HelmRelease): Promise<string> =>
  runCommand(
    [
      helm,
      ...['upgrade', '--install', name, chart],
      ...['--kubeconfig', kubeconfig, '--namespace', namespace],
      ...['--values', '-'],
    ],
    { input: JSON.stringify(values), timeoutMs, ...(signal && { signal }), withDescendants: true },
  );
