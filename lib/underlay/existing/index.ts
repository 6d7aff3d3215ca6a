/** What joins clusters that exist is somebody else's: nothing is joined, and nothing of it can be seen or broken. */
import type { Underlay } from '../../model/cluster.ts';

export const existing: Underlay = {
  name: 'existing',
  features: [],
  requirements: () => ({ wan: false, hostPackages: [] }),
  join: async () => {},
  injectors: [],
  observedVersions: async () => ({}),
  diagnose: async () => ({}),
};
