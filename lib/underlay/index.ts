/** Underlays by name. */
import type { Underlay } from '../model/cluster.ts';
import { direct } from './direct/index.ts';
import { existing } from './existing/index.ts';
import { createWireguard } from './wireguard/index.ts';

export const UNDERLAY_NAMES: readonly Underlay['name'][] = ['wireguard', 'direct', 'existing'];

export function underlayNamed(name: Underlay['name']): Underlay {
  switch (name) {
    case 'wireguard':
      return createWireguard();
    case 'direct':
      return direct;
    case 'existing':
      return existing;
  }
}
