/** Underlays by name. */
import type { Underlay } from '../model/cluster.ts';
import { UserError } from '../model/errors.ts';
import { direct } from './direct/index.ts';
import { createWireguard } from './wireguard/index.ts';

export const UNDERLAY_NAMES: readonly Underlay['name'][] = ['wireguard', 'direct', 'existing'];

/** @throws UserError for `existing`, which joins nothing: it stands for clusters that somebody else has joined */
export function underlayNamed(name: Underlay['name']): Underlay {
  if (name === 'wireguard') return createWireguard();
  if (name === 'direct') return direct;
  throw new UserError(
    'The underlay "existing" leaves the clusters as they are, and new ones are not joined yet',
    {
      where: '--underlay existing',
      remedy: 'Take wireguard or direct, or attach to clusters that are joined already with --context',
    },
  );
}
