/** What the data plane dropped and why, as Hubble remembers it: https://docs.cilium.io/en/stable/observability/hubble/ */
import type { Drop, KubernetesCluster } from '../../model/cluster.ts';
import { isReady } from '../common/clusters.ts';
import { podsOf } from './agents.ts';
import { AGENT_CONTAINER, HUBBLE_SOCKET, NAMESPACE } from './names.ts';

const QUESTION_LIMIT_MS = 5_000;
/** Of each node; a flow that is dropped again and again fills them soon. */
const MOST_FLOWS = 500;

interface Flow {
  readonly verdict?: string;
  readonly drop_reason_desc?: string;
  readonly IP?: { readonly source?: string; readonly destination?: string };
  readonly l4?: Readonly<Record<string, { readonly destination_port?: number }>>;
}

/** `POLICY_DENIED`, as people read it. */
const shownReason = (reason: string): string => reason.toLowerCase().replaceAll('_', ' ');

/** Those that are alike counted. Pure. @param said lines of `hubble observe --output jsonpb` */
export function dropsIn(said: string): Drop[] {
  const flows = said.split('\n').flatMap((line): Flow[] => {
    if (!line.startsWith('{')) return [];
    const { flow } = JSON.parse(line) as { readonly flow?: Flow };
    return flow?.verdict === 'DROPPED' ? [flow] : [];
  });
  const drops = flows.flatMap(({ drop_reason_desc: reason = 'unknown reason', IP, l4 }): Drop[] => {
    if (IP?.source === undefined || IP.destination === undefined) return [];
    const [[protocol, facts] = ['IP', {}]] = Object.entries(l4 ?? {});
    return [
      {
        reason: shownReason(reason),
        source: IP.source,
        destination: IP.destination,
        port: `${protocol}${facts.destination_port === undefined ? '' : ` ${facts.destination_port}`}`,
        packets: 1,
      },
    ];
  });
  const alike = Map.groupBy(drops, ({ packets: _one, ...what }) => JSON.stringify(what));
  return [...alike.values()].map((group) => ({ ...(group[0] as Drop), packets: group.length }));
}

/** Which drops an agent is asked for; all that it remembers where nothing is said. */
interface Wanted {
  /** RFC 3339. */
  readonly since?: string;
  /** Those to or from one of these. */
  readonly addresses?: readonly string[];
}

/** What one agent is asked. By type as well: the verdict of a policy is an event of its own, beside the drop that it leads to. */
export const observeDrops = ({ since, addresses = [] }: Wanted = {}): readonly [string, ...string[]] => [
  'hubble',
  ...['observe', '--server', HUBBLE_SOCKET, '--verdict', 'DROPPED', '--type', 'drop'],
  ...['--last', String(MOST_FLOWS)],
  ...addresses.flatMap((address) => ['--ip', address]),
  ...(since === undefined ? [] : ['--since', since]),
];

/** @throws what the agents say where Hubble is not enabled, or its program is not in their image */
export async function dropsOf(
  cluster: KubernetesCluster,
  since: Date,
  addresses: readonly string[],
): Promise<readonly Drop[]> {
  const pods = (await podsOf(cluster, 'agent')).filter(isReady);
  const said = await Promise.all(
    pods.map(({ metadata: { name } }) =>
      cluster.objects.exec(
        { namespace: NAMESPACE, name, container: AGENT_CONTAINER },
        [...observeDrops({ since: since.toISOString(), addresses }), '--output', 'jsonpb'],
        { timeoutMs: QUESTION_LIMIT_MS },
      ),
    ),
  );
  return dropsIn(said.join('\n'));
}
