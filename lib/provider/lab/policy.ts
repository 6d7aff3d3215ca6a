/** Renders policy intents as nftables. */
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import { type PolicyIntent, type PolicyPeer, type PortSelector, matchesPeer } from '../../model/intent.ts';
import { selects } from '../../model/workload.ts';

/** Somebody that a selector may mean, with addresses. */
export interface PolicyMember extends PolicyPeer {
  readonly addresses: PerFamily<string>;
}

/** One table: the union of the intents of a namespace and direction in one cluster. */
export interface PolicyTable {
  readonly cluster: string;
  readonly namespace: string;
  readonly direction: PolicyIntent['direction'];
  readonly intents: readonly PolicyIntent[];
  readonly families: readonly IpFamily[];
}

export const POLICY_TABLE_PREFIX = 'mcnet_policy_';
export const POLICY_CHAIN = 'forward';
export const tableName = ({ namespace, direction }: Pick<PolicyTable, 'namespace' | 'direction'>): string =>
  `${POLICY_TABLE_PREFIX}${namespace}_${direction}`;

interface AddressSet {
  readonly name: string;
  readonly family: IpFamily;
  readonly addresses: readonly string[];
}

const PROTOCOL_OF = { ipv4: 'ip', ipv6: 'ip6' } as const;
const governedSet = (intent: number, family: IpFamily): string => `governed${intent}_${family}`;
const allowedSet = (intent: number, rule: number, family: IpFamily): string =>
  `allowed${intent}_${rule}_${family}`;

function setsOf(table: PolicyTable, members: readonly PolicyMember[]): AddressSet[] {
  const addressesOf = (family: IpFamily, matches: (member: PolicyMember) => boolean): string[] =>
    members.filter(matches).flatMap((member) => member.addresses[family] ?? []);
  return table.families.flatMap((family) =>
    table.intents.flatMap((intent, index) => [
      {
        name: governedSet(index, family),
        family,
        addresses: addressesOf(
          family,
          (member) =>
            member.cluster === table.cluster &&
            member.namespace === table.namespace &&
            selects(intent.target, member.labels),
        ),
      },
      ...intent.allow.flatMap(({ peers }, rule) =>
        peers === undefined
          ? []
          : [
              {
                name: allowedSet(index, rule, family),
                family,
                addresses: addressesOf(family, (member) =>
                  peers.some((peer) => matchesPeer(peer, member, table.cluster)),
                ),
              },
            ],
      ),
    ]),
  );
}

/** Nothing but errors about flows passes unasked: without them every path MTU problem would look like a policy. */
const ICMP_ERRORS = [
  'icmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
  'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-neighbor-solicit, nd-neighbor-advert } accept',
];

function rulesOf(table: PolicyTable): string[] {
  const [own, other] = table.direction === 'ingress' ? ['daddr', 'saddr'] : ['saddr', 'daddr'];
  const allowed = table.families.flatMap((family) =>
    table.intents.flatMap((intent, index) =>
      intent.allow.flatMap(({ peers, ports }, rule) => {
        const protocol = PROTOCOL_OF[family];
        const governed = `${protocol} ${own} @${governedSet(index, family)}`;
        const peer = peers ? ` ${protocol} ${other} @${allowedSet(index, rule, family)}` : '';
        return portMatches(ports).map((match) => `${governed}${peer}${match} accept`);
      }),
    ),
  );
  const refused = table.families.flatMap((family) =>
    table.intents.map(
      (_, index) => `${PROTOCOL_OF[family]} ${own} @${governedSet(index, family)} counter drop`,
    ),
  );
  return ['ct state established,related accept', ...ICMP_ERRORS, ...allowed, ...refused];
}

/** No list of ports means every protocol, as in NetworkPolicy; an empty one matches nothing. */
function portMatches(ports: readonly PortSelector[] | undefined): string[] {
  if (!ports) return [''];
  return (['tcp', 'udp'] as const).flatMap((protocol) => {
    const numbers = ports.filter((port) => port.protocol === protocol).map(({ port }) => port);
    return numbers.length === 0 ? [] : [` ${protocol} dport { ${numbers.join(', ')} }`];
  });
}

/**
 * nftables input that puts the table in place, or takes it away when no intent is left, in one transaction.
 * @param asleep the kernel is to have the table and not heed it
 */
export function renderTable(table: PolicyTable, members: readonly PolicyMember[], asleep = false): string {
  const name = `inet ${tableName(table)}`;
  const replaced = `add table ${name}\ndelete table ${name}\n`;
  if (table.intents.length === 0) return replaced;
  const sets = setsOf(table, members).map(
    ({ name: set, family, addresses }) =>
      `\tset ${set} {\n\t\ttype ${family}_addr\n${
        addresses.length === 0 ? '' : `\t\telements = { ${addresses.join(', ')} }\n`
      }\t}\n`,
  );
  return `${replaced}table ${name} {
${asleep ? '\tflags dormant;\n' : ''}${sets.join('')}	chain ${POLICY_CHAIN} {
		type filter hook forward priority filter; policy accept;
${rulesOf(table)
  .map((rule) => `\t\t${rule}\n`)
  .join('')}	}
}
`;
}

/** nftables input that lets a workload that came later into the sets that mean it; empty when none does. */
export function renderLateMember(table: PolicyTable, member: PolicyMember): string {
  return setsOf(table, [member])
    .filter(({ addresses }) => addresses.length > 0)
    .map(
      ({ name, addresses }) => `add element inet ${tableName(table)} ${name} { ${addresses.join(', ')} }\n`,
    )
    .join('');
}

/** Whether a listing of the table (`nft list table`) shows it enforcing: a flushed one has no rules left. */
export function enforces(listing: string, table: PolicyTable): boolean {
  const drops = listing.match(/ drop$/gm)?.length ?? 0;
  return drops === table.intents.length * table.families.length;
}
