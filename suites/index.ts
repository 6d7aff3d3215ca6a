/** Every suite, in the order in which they run and are shown. */
import type { Suite } from '../lib/model/check.ts';
import { addressing } from './addressing.ts';
import { discovery } from './discovery.ts';
import { dns } from './dns.ts';
import { encryption } from './encryption.ts';
import { failover } from './failover.ts';
import { mtls } from './mtls.ts';
import { mtu } from './mtu.ts';
import { peering } from './peering.ts';
import { performance } from './performance.ts';
import { policy } from './policy.ts';
import { reachability } from './reachability.ts';
import { sharing } from './sharing.ts';
import { versions } from './versions.ts';

export const SUITES: readonly Suite[] = [
  addressing,
  reachability,
  dns,
  discovery,
  sharing,
  mtls,
  peering,
  policy,
  mtu,
  encryption,
  failover,
  performance,
  versions,
];
