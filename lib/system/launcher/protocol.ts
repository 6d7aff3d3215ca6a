/** What a process and its launcher say to each other, over the channel of node:child_process. */

interface Launched {
  readonly id: number;
  readonly command: readonly [string, ...string[]];
  /** Beside the launcher's own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** To its end; the reply comes then. */
export interface LaunchedCommand extends Launched {
  readonly kind: 'run';
  readonly input: string;
  readonly timeoutMs: number;
}

/** Outlives the launcher; the reply comes when it has started. */
export interface LaunchedDaemon extends Launched {
  readonly kind: 'daemon';
  readonly logPath: string;
}

export type LaunchRequest =
  LaunchedCommand | LaunchedDaemon | { readonly kind: 'cancel'; readonly id: number };

/** How a command ended. */
export interface CommandEnd {
  readonly stdout: string;
  readonly stderr: string;
  /** Absent when it was killed or never started. */
  readonly exitCode?: number;
  readonly timedOut: boolean;
  /** The program is not installed. */
  readonly notFound: boolean;
}

export type LaunchReply = { readonly id: number } & (
  CommandEnd | { readonly pid: number } | { readonly error: string; readonly notFound: boolean }
);
