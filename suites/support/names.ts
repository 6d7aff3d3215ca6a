/** Lookups at a cluster's own DNS server, and what may be concluded from them. */
import type { ClusterView, Site, Toolkit } from '../../lib/model/check.ts';
import { containsAddress, parseCidr } from '../../lib/model/cidr.ts';
import type { RecordType, Resolution } from '../../lib/model/probe.ts';
import { type Verdict, failed, inconclusive } from '../../lib/model/verdict.ts';

/** glibc waits 5 s before it asks again; a server that needs even two is of no use. */
export const LOOKUP_TIMEOUT_MS = 2_000;

/** A lookup, and where each address belongs, in words. */
export interface Lookup extends Resolution {
  /** `service range of west`, by address. */
  readonly owners: Readonly<Record<string, string>>;
}

/** Asks by UDP, and by TCP when the answer did not fit (RFC 7766, section 5), as every stub resolver does. */
export async function lookUp(
  caller: Site,
  view: ClusterView,
  { name, type }: { name: string; type: RecordType },
  { clusters }: Pick<Toolkit, 'clusters'>,
): Promise<Lookup> {
  const request = { server: view.dns, name, type, timeoutMs: LOOKUP_TIMEOUT_MS };
  const first = only(await caller.resolve([request]));
  const resolution = first.truncated ? only(await caller.resolve([{ ...request, transport: 'tcp' }])) : first;
  const owners = resolution.addresses.map((address) => [address, ownerOf(address, clusters)] as const);
  return { ...resolution, owners: Object.fromEntries(owners) };
}

function only(resolutions: readonly Resolution[]): Resolution {
  const [resolution] = resolutions;
  if (!resolution) throw new TypeError('the probe reported no lookup');
  return resolution;
}

function ownerOf(address: string, clusters: readonly ClusterView[]): string {
  for (const { name, ranges } of clusters) {
    for (const [kind, range] of Object.entries({
      pod: ranges.pods,
      service: ranges.services,
      node: ranges.nodes,
    })) {
      const blocks = [range.ipv4, range.ipv6].filter((block) => block !== undefined);
      if (blocks.some((block) => containsAddress(parseCidr(block), address)))
        return `${kind} range of ${name}`;
    }
  }
  return 'no range of any cluster';
}

/** What the caller meets; `reproduce` at the workload that asked. */
export function lookupDetails(
  { name, type, server }: Resolution,
  at: string,
): { readonly reproduce: NonNullable<Verdict['reproduce']> } {
  const script =
    `const r = new (require("dns").promises.Resolver)({ timeout: ${LOOKUP_TIMEOUT_MS}, tries: 1 }); ` +
    `r.setServers(["${server}"]); r.resolve("${name}", "${type}").then(console.log, console.log)`;
  return { reproduce: { at, command: `node -e '${script}'` } };
}

/**
 * What is wrong with a lookup of a name that must exist, whatever it must hold; undefined when it was answered with
 * NOERROR.
 */
export function judgeAnswered(lookup: Resolution, at: string, expected: string): Verdict | undefined {
  return judgeResponse(lookup, at, expected) ?? judgeExists(lookup, at, expected);
}

/** No response, or one that is no statement about the name. */
export function judgeResponse(lookup: Resolution, at: string, expected: string): Verdict | undefined {
  const details = { expected, ...lookupDetails(lookup, at) };
  const { outcome, rcode, server, name, type } = lookup;
  const why = lookup.detail ? ` (${lookup.detail})` : '';
  switch (outcome) {
    case 'timed-out':
      return failed('dns-timeout', `The DNS server ${server} does not answer`, {
        ...details,
        seen: `no response to ${name} ${type} within ${LOOKUP_TIMEOUT_MS} ms: a time-out, not NXDOMAIN`,
      });
    case 'refused':
    case 'unreachable':
      return failed('dns-refused', `The DNS server ${server} is not reachable`, {
        ...details,
        seen: `${outcome === 'refused' ? 'port unreachable or RST' : 'ICMP unreachable'} from ${server}${why}`,
      });
    case 'error':
      return inconclusive('probe-failed', `The lookup of ${name} could not be made${why}`);
    case 'answered':
      break;
    default:
      return inconclusive('probe-failed', `The probe reported "${String(outcome)}" of the lookup of ${name}`);
  }
  if (rcode === undefined) return inconclusive('probe-failed', `The response to ${name} ${type} has no code`);
  return rcode === 'NOERROR' || rcode === 'NXDOMAIN'
    ? undefined
    : failed('dns-refused', `The DNS server ${server} answers ${rcode}`, {
        ...details,
        seen: `${rcode} for ${name} ${type}`,
      });
}

function judgeExists(lookup: Resolution, at: string, expected: string): Verdict | undefined {
  return lookup.rcode === 'NXDOMAIN'
    ? failed('dns-nxdomain', `${lookup.name} does not exist`, {
        expected,
        seen: `NXDOMAIN from ${lookup.server} for ${lookup.name} ${lookup.type}`,
        ...lookupDetails(lookup, at),
      })
    : undefined;
}

export const shownAddresses = ({ addresses, owners }: Lookup): string =>
  addresses.map((address) => `${address} (${owners[address] ?? 'unknown'})`).join(', ');

/** The name must resolve to exactly these addresses. */
export function judgeAddresses(
  lookup: Lookup,
  wanted: readonly string[],
  at: string,
  whose: string,
): Verdict | undefined {
  const expected = `${lookup.name} ${lookup.type} is ${wanted.join(', ')}, ${whose}`;
  const bad = judgeAnswered(lookup, at, expected);
  if (bad) return bad;
  const details = { expected, ...lookupDetails(lookup, at) };
  if (lookup.addresses.length === 0) {
    return failed('dns-no-records', `${lookup.name} has no ${lookup.type} record`, {
      ...details,
      seen: `NOERROR without any ${lookup.type} record from ${lookup.server}`,
    });
  }
  return sameSet(lookup.addresses, wanted)
    ? undefined
    : failed('dns-wrong-address', `${lookup.name} resolves to something else`, {
        ...details,
        seen: shownAddresses(lookup),
      });
}

export function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size === right.size && [...left].every((item) => right.has(item));
}
