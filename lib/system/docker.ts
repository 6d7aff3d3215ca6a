/** What has to be removed from a Docker engine, by other processes too. Nothing here fails for what is gone. */
import { systemClock } from './clock.ts';
import { CommandError, runCommand } from './commands.ts';
import { thawGroups } from './frozenCgroups.ts';

/** A node with all its pods takes seconds to stop, on a machine that is busy with something else minutes. */
const REMOVAL_MS = 120_000;
/** The engine may still be about to create what a killed client had asked for. */
const SETTLE_MS = 200;
const RETRY_MS = 2_000;
const ATTEMPTS = 10;

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

/** Whole ids of all containers that a filter of Docker's lets through, whatever their state. */
const containersBy = async (filter: string): Promise<string[]> =>
  words(await runCommand(['docker', 'ps', '--all', '--quiet', '--no-trunc', '--filter', filter]));

/** @param label `key=value` */
const containersWith = (label: string): Promise<string[]> => containersBy(`label=${label}`);

/** Looks a second time before it says no. */
export async function containersExist(label: string): Promise<boolean> {
  if ((await containersWith(label)).length > 0) return true;
  await systemClock.sleep(SETTLE_MS);
  return (await containersWith(label)).length > 0;
}

export async function dockerNetworkExists(name: string): Promise<boolean> {
  const exactly = `name=^${name}$`;
  return words(await runCommand(['docker', 'network', 'ls', '--quiet', '--filter', exactly])).length > 0;
}

/** @throws Error when there are still some afterwards */
export async function deleteContainers(label: string): Promise<void> {
  let lastError: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const present = await containersWith(label);
    if (present.length === 0 && !(await containersExist(label))) return;
    lastError = (await removeContainers(present)) ?? lastError;
  }
  const left = await containersWith(label);
  if (left.length > 0) throw lastError ?? new Error(`containers survive their removal: ${left.join(', ')}`);
}

/** With what somebody has attached to it meanwhile: a network of a run has only containers of that run. */
export async function deleteDockerNetwork(name: string): Promise<void> {
  let lastError: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!(await dockerNetworkExists(name))) return;
    try {
      await runCommand(['docker', 'network', 'rm', name]);
    } catch (error) {
      lastError = error;
      const present = await containersBy(`network=${name}`);
      lastError = (await removeContainers(present)) ?? lastError;
      await systemClock.sleep(SETTLE_MS);
    }
  }
  if (await dockerNetworkExists(name)) throw lastError;
}

/**
 * On a machine that is too busy to reap processes the engine gives up, and a client that waits too long gets no answer;
 * both are asked again. What is frozen inside a container keeps it from ending. @returns what went wrong
 */
async function removeContainers(ids: readonly string[]): Promise<unknown> {
  if (ids.length === 0) return undefined;
  try {
    await runCommand(['docker', 'rm', '--force', '--volumes', ...ids], { timeoutMs: REMOVAL_MS });
    return undefined;
  } catch (error) {
    // Somebody else may remove the same ones.
    if (error instanceof CommandError && error.output.includes('No such container')) return undefined;
    await Promise.all(ids.map((id) => thawGroups(id)));
    await systemClock.sleep(RETRY_MS);
    return error;
  }
}
