/** What has to be removed from a Docker engine, by other processes too. Nothing here fails for what is gone. */
import { systemClock } from './clock.ts';
import { CommandError, runCommand } from './commands.ts';

/** A node with all its pods takes seconds to stop. */
const REMOVAL_MS = 60_000;
/** The engine may still be about to create what a killed client had asked for. */
const SETTLE_MS = 200;
const ATTEMPTS = 10;

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);

/** Ids of all containers with a label (`key=value`), whatever their state. */
async function containersWith(label: string): Promise<string[]> {
  return words(await runCommand(['docker', 'ps', '--all', '--quiet', '--filter', `label=${label}`]));
}

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
  let present = await containersWith(label);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (present.length > 0) await removeContainers(present);
    await systemClock.sleep(SETTLE_MS);
    present = await containersWith(label);
    if (present.length === 0) return;
  }
  throw new Error(`containers survive their removal: ${present.join(', ')}`);
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
      const attached = ['docker', 'ps', '--all', '--quiet', '--filter', `network=${name}`] as const;
      const present = words(await runCommand(attached));
      if (present.length > 0) await removeContainers(present);
      await systemClock.sleep(SETTLE_MS);
    }
  }
  throw lastError;
}

async function removeContainers(ids: readonly string[]): Promise<void> {
  try {
    await runCommand(['docker', 'rm', '--force', '--volumes', ...ids], { timeoutMs: REMOVAL_MS });
  } catch (error) {
    // Somebody else may remove the same ones.
    if (error instanceof CommandError && /No such container|already in progress/i.test(error.output)) return;
    throw error;
  }
}
