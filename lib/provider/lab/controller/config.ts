/** What a lab cluster's service controller is told: the file that the provider writes and the controller reads. */
import type { ShareServiceIntent } from '../../../model/intent.ts';
import { entryFile } from '../../../model/entry.ts';
import type { IpFamily, PerFamily } from '../../../model/cidr.ts';
import type { ServiceSpec } from '../../../model/workload.ts';

/** Read from `<folder>/controller.json` at start and on every `reload`. */
export interface ControllerConfig {
  readonly run: string;
  readonly cluster: string;
  readonly families: readonly IpFamily[];
  /** Where the DNS server answers; added to the loopback interface of the namespace when absent. */
  readonly dns: PerFamily<string>;
  /** Clusters that may be reached; the own one left out. */
  readonly peers: readonly ControllerPeer[];
  /** The own node address: peers call here, and are called from here. */
  readonly listen: PerFamily<string>;
  readonly services: readonly ControllerService[];
  /** Holds the configuration, the control socket, the DNS server's files; on the host's file system. */
  readonly folder: string;
  /** Overrides `HEALTH_PERIOD_MS`, for fleets that must share few processors. */
  readonly healthPeriodMs?: number;
  /** Overrides `PEER_PERIOD_MS`, for the same reason. */
  readonly peerPeriodMs?: number;
  /** Least time between two changes of rules and records: in a large fleet endpoints come by the hundred. Default none. */
  readonly followPauseMs?: number;
}

export interface ControllerPeer {
  readonly cluster: string;
  /** Where its controller listens. */
  readonly addresses: PerFamily<string>;
  /** The neighbour that tells of it; absent where the two controllers talk to each other. */
  readonly via?: string;
}

export interface ControllerService {
  readonly spec: ServiceSpec;
  /** Its address in `cluster.local`; empty for a headless service. */
  readonly clusterIps: PerFamily<string>;
  /** Its address in `clusterset.local`; empty when it is headless or not shared. */
  readonly clustersetIps: PerFamily<string>;
  /** Present while the service is shared with the other clusters. */
  readonly shared?: { readonly preference: ShareServiceIntent['preference'] };
  /** Every backend of this cluster, healthy or not; of a service with fixed endpoints, those. */
  readonly endpoints: readonly ControllerEndpoint[];
}

export interface ControllerEndpoint {
  /** The workload's name: a DNS label. */
  readonly workload: string;
  readonly addresses: PerFamily<string>;
}

export const CONFIG_FILE = 'controller.json';
export const SOCKET_FILE = 'controller.sock';
/** TCP, on the node address: the controllers of the other clusters call here. */
export const PEER_PORT = 7070;

/** A line sent to the control socket; each gets one line back, in order. */
export type ControllerRequest = { readonly method: 'reload' } | { readonly method: 'status' };

export type ControllerReply =
  | { readonly ok: true; readonly status?: ControllerStatus }
  /** What is in force stays as it was when the configuration could not be used. */
  | { readonly ok: false; readonly error: string };

export interface ControllerStatus {
  readonly cluster: string;
  /** Rules and records say what it knows: no change waits to be followed. */
  readonly upToDate: boolean;
  readonly services: readonly {
    /** `namespace/name`. */
    readonly service: string;
    readonly endpoints: readonly EndpointStatus[];
  }[];
  readonly peers: readonly {
    readonly cluster: string;
    readonly family: IpFamily;
    readonly answers: boolean;
  }[];
  /** Process id of the DNS server; absent once it has died. */
  readonly dnsPid?: number;
}

export interface EndpointStatus {
  readonly cluster: string;
  readonly workload: string;
  readonly address: string;
  readonly health: 'up' | 'down' | 'unknown';
  /** Milliseconds since this state began. */
  readonly ageMs: number;
}

/** Small heaps: a hundred of these run side by side. */
const NODE_FLAGS = ['--max-old-space-size=64', '--max-semi-space-size=1'];

/** The program to start in the gateway's namespace; append `--folder <folder>`. */
export function controllerCommand(): [string, ...string[]] {
  return [process.execPath, ...NODE_FLAGS, entryFile(import.meta.url, 'controller', './main.ts')];
}
