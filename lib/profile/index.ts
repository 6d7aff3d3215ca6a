/** Profiles by name. */
import type { Profile } from '../model/cluster.ts';
import { UserError } from '../model/errors.ts';
import { none } from './none/index.ts';

export const PROFILES: readonly Profile[] = [none];

/** @throws UserError naming the known ones */
export function profileNamed(name: string): Profile {
  const profile = PROFILES.find((one) => one.name === name);
  if (profile) return profile;
  throw new UserError(`There is no profile "${name}"`, {
    where: '--profile',
    remedy: `Known profiles: ${PROFILES.map((one) => one.name).join(', ')}`,
  });
}
