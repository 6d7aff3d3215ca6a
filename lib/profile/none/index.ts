/** Nothing on top of the clusters: what the underlay and the provider carry by themselves. */
import type { Profile } from '../../model/cluster.ts';

export const none: Profile = {
  name: 'none',
  conformanceClass: 'underlay',
  features: ['l3.pod', 'l3.hops', 'l4.udp', 'icmp'],
  requirements: () => ({ wan: false, hostPackages: [] }),
  install: async () => {},
  handlers: [],
  injectors: [],
  decorate: (spec) => spec,
  planeOf: () => undefined,
  observedVersions: async () => ({}),
};
