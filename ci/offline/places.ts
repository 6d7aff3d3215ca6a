/** Where the builder keeps what it makes, and the configuration file that names the results. */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

const NAME = 'mcnet-conformance';

export interface Places {
  /** Everything below is the builder's own and may be removed at any time. */
  readonly cache: string;
  readonly bin: string;
  readonly work: string;
  readonly log: string;
  readonly stamps: string;
  readonly engine: string;
  /** The user's configuration of the product; only some of its keys are the builder's. */
  readonly userConfiguration: string;
}

/** Absolute paths by the XDG base directory specification. */
export function placesOf(environment: NodeJS.ProcessEnv, home = homedir()): Places {
  const base = (variable: string, fallback: string): string => {
    const value = environment[variable];
    // The specification says that a relative path is to be ignored.
    return value && path.isAbsolute(value) ? value : path.join(home, fallback);
  };
  const cache = path.join(base('XDG_CACHE_HOME', '.cache'), NAME, 'offline');
  return {
    cache,
    bin: path.join(cache, 'bin'),
    work: path.join(cache, 'work'),
    log: path.join(cache, 'log'),
    stamps: path.join(cache, 'stamps'),
    engine: path.join(cache, 'engine'),
    userConfiguration: path.join(base('XDG_CONFIG_HOME', '.config'), NAME, 'mcnet.yaml'),
  };
}

export function makeFolders({ bin, work, log, stamps, engine }: Places): void {
  for (const folder of [bin, work, log, stamps, engine]) mkdirSync(folder, { recursive: true });
}
