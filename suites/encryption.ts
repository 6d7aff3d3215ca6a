import { CLIENT, ECHO, client, echo } from '../fixtures/workloads.ts';
import { type ClusterView, type PairContext, type Suite, defineCheck } from '../lib/model/check.ts';
import type { CaptureSummary, Exchange } from '../lib/model/probe.ts';
import { failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { TUNNEL_OUTAGE } from './support/outages.ts';

/** An ICMPv6 type at this byte: of neighbour discovery (RFC 4861) or multicast listener discovery (RFC 3810). */
const signalling = (type: number): string => `(ip6[${type}] >= 130 and ip6[${type}] <= 143)`;
/**
 * What belongs on any network segment and carries nothing: address resolution, neighbour discovery, reports of multicast
 * listeners. The last stand behind a header of options by hop (RFC 3810, section 5), of eight bytes.
 */
export const LINK_SIGNALLING = [
  'arp',
  'igmp',
  `(icmp6 and ${signalling(40)})`,
  `(ip6[6] = 0 and ip6[40] = 58 and ${signalling(48)})`,
].join(' or ');
const MARKED_PAYLOAD = 1_000;
const MARKED_EXCHANGES = 20;
/** WireGuard renews its keys every 120 s and gives up a session after 180 s (whitepaper, section 6.1). */
const HANDSHAKE_MAX_AGE_S = 180;

/** The marker travels as the nonce of every exchange, whole within one segment. */
const newMarker = (context: PairContext): string => `mcnet-marker-${context.nonce()}`;

/** One of each kind: enough to tell whether there is a path. */
const FEW_EXCHANGES = 3;

/** Marked messages by TCP, UDP and HTTP from the caller to the target. */
function sendMarked(
  { from, to }: PairContext,
  marker: string,
  timeoutMs: number,
  count = MARKED_EXCHANGES,
): Promise<readonly Exchange[]> {
  const target = to.site(ECHO).address;
  const kinds = [
    { protocol: 'tcp', port: PORTS.echo },
    { protocol: 'udp', port: PORTS.echo },
    { protocol: 'http', port: PORTS.http },
  ] as const;
  return from.site(CLIENT).exchange(
    Array.from({ length: count }, (_, index) => ({
      ...(kinds[index % kinds.length] as (typeof kinds)[number]),
      address: target,
      nonce: marker,
      payload: MARKED_PAYLOAD,
      timeoutMs,
    })),
  );
}

interface WireCaptures {
  /** Behind the gateway, before encryption: must show the marker, or the wan capture proves nothing. */
  readonly control: CaptureSummary;
  readonly wan: CaptureSummary;
  /** On the wan, what is neither the tunnel's nor the link's own signalling. */
  readonly foreign: CaptureSummary;
}

async function captureWhile<T>(
  gatewayOf: ClusterView,
  { marker, tunnelFilter }: { marker: string; tunnelFilter: string },
  traffic: () => Promise<T>,
): Promise<WireCaptures & { traffic: T }> {
  const { wanInterface, clusterInterface } = gatewayOf.gateway;
  const captures = await Promise.all([
    // Unfiltered, so that captures of cases beside each other can be one: the marker tells whose packet it is.
    gatewayOf.capture({ interface: clusterInterface, filter: '', marker }),
    gatewayOf.capture({ interface: wanInterface, filter: tunnelFilter, marker }),
    gatewayOf.capture({
      interface: wanInterface,
      filter: `not (${tunnelFilter}) and not (${LINK_SIGNALLING})`,
      marker,
    }),
  ]);
  const seen = await traffic();
  const [control, wan, foreign] = await Promise.all(captures.map((capture) => capture.stop()));
  return {
    control: control as CaptureSummary,
    wan: wan as CaptureSummary,
    foreign: foreign as CaptureSummary,
    traffic: seen,
  };
}

const flowsOf = (capture: CaptureSummary): string =>
  capture.flows
    .slice(0, 3)
    .map((flow) => `${flow.flow} (${flow.packets} packets)`)
    .join(', ');

const NO_FILTER = 'ether proto 0x88b5'; // never on a wan: matches nothing where an underlay names no traffic of its own

export const wire = defineCheck({
  id: 'encryption.wire',
  title: 'Between the clusters only the tunnel is seen, never the payload',
  level: 'core',
  scope: 'pair',
  requires: ['tunnel.encrypted', 'wan.capture', 'l3.pod'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  // For captures to begin and to end.
  mostlyWaits: true,
  faults: [{ kind: 'clear-text-route', cause: 'clear-text-on-wan' }],
  hint: 'Look for a route to the other cluster that is preferred to the tunnel: `ip route get <address>` on the gateway',
  reference: 'RFC 7258',

  async observe(context) {
    const { from, to, tunnelFilter = NO_FILTER } = context;
    const marker = newMarker(context);
    const target = to.site(ECHO).address;
    const { traffic, ...captures } = await captureWhile(from, { marker, tunnelFilter }, () =>
      sendMarked(context, marker, 2_000),
    );
    return {
      from: from.name,
      target,
      captures,
      answered: traffic.filter(({ outcome }) => outcome === 'answered').length,
    };
  },

  judge({ from, target, captures: { control, wan, foreign }, answered }) {
    const sent = answered * MARKED_PAYLOAD;
    const figures = {
      'marked payload': { value: sent, unit: 'bytes' },
      'tunnel traffic': { value: wan.bytes, unit: 'bytes' },
    };
    const reproduce = { at: `${from}/gateway`, command: `ip route get ${target}` };
    const readable = foreign.markerPackets + wan.markerPackets;
    if (readable > 0) {
      return failed('clear-text-on-wan', 'Payload crosses the wan in clear text', {
        expected: 'the marker never appears outside the tunnel',
        seen: `${readable} packets with the marker on the wan: ${flowsOf(foreign.markerPackets > 0 ? foreign : wan)}`,
        figures,
        reproduce,
      });
    }
    if (!(answered > 0)) return inconclusive('control-failed', 'None of the marked messages was answered');
    if (!(control.markerPackets > 0)) {
      return inconclusive(
        'control-failed',
        'The control capture behind the gateway did not see the marker either',
      );
    }
    if (foreign.packets > 0) {
      return failed('foreign-traffic-on-wan', 'The wan carries more than the tunnel', {
        expected:
          "only the tunnel's packets and the link's own signalling (ARP, neighbour discovery, multicast listeners)",
        seen: `${foreign.packets} other packets: ${flowsOf(foreign)}`,
        figures,
        reproduce: { at: `${from}/gateway`, command: 'tcpdump -ni wan0 not udp port 51820' },
      });
    }
    if (wan.bytes < sent) {
      return inconclusive(
        'control-failed',
        `The wan capture saw ${wan.bytes} bytes of ${sent} sent: this flow did not pass there`,
      );
    }
    return passed(
      `${wan.packets} tunnel packets, marker in none of them and in ${control.markerPackets} before encryption`,
      figures,
    );
  },
});

export const handshake = defineCheck({
  id: 'encryption.handshake',
  title: 'Each tunnel has a recent handshake',
  level: 'core',
  scope: 'pair',
  familyless: true,
  paths: ['direct'],
  requires: ['tunnel.encrypted'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  faults: [{ kind: 'wrong-peer-key', cause: 'no-handshake' }],
  hint: 'Compare the public keys and endpoints that the two gateways have of each other, and whether UDP passes between them',
  reference: 'https://www.wireguard.com/protocol/',

  async observe({ from, to, handshakes }) {
    return { from: from.name, to: to.name, ages: await handshakes(from.name) };
  },

  judge({ from, to, ages }) {
    const age = ages[to];
    if (age === undefined || !(age <= HANDSHAKE_MAX_AGE_S)) {
      return failed('no-handshake', `${from} has no live session with ${to}`, {
        expected: `a handshake within the last ${HANDSHAKE_MAX_AGE_S} s`,
        seen: age === undefined ? 'never one' : `the last ${Math.round(age)} s ago`,
        reproduce: { at: `${from}/gateway`, command: 'wg show all latest-handshakes' },
      });
    }
    return passed(`last handshake ${Math.round(age)} s ago`, { age: { value: age, unit: 's' } });
  },
});

/** A handshake takes one round trip; the initiator tries again after 5 s. */
const WRONG_KEY_WINDOW_MS = 500;
const RECOVERY_MS = 10_000;

export const wrongKey = defineCheck({
  id: 'encryption.wrong-key',
  title: 'A peer with a wrong key gets no handshake and no traffic',
  level: 'core',
  scope: 'pair',
  paths: ['direct'],
  requires: ['tunnel.encrypted', 'l3.pod'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  exclusive: 'pair',
  mostlyWaits: true,
  faults: [],
  withoutFaults: 'It injects its own: one end is given a random key of the other',
  hint: 'Traffic that passes with a wrong key does not use this tunnel: look for another route',
  reference: 'https://www.wireguard.com/protocol/',

  async observe(context) {
    const { from, to, disturb, handshakes, converge } = context;
    const exchange = async () =>
      (
        await from.site(CLIENT).exchange([
          {
            protocol: 'tcp',
            address: to.site(ECHO).address,
            port: PORTS.echo,
            timeoutMs: WRONG_KEY_WINDOW_MS,
          },
        ])
      )[0] as Exchange;
    const untilAnswered = () =>
      converge(exchange, {
        succeeded: ({ outcome }) => outcome === 'answered',
        budgetMs: RECOVERY_MS,
        successes: 1,
      });
    // A link that another case had taken down may wait for its next handshake.
    const { last: before } = await untilAnswered();
    const fault = await disturb({ kind: 'wrong-peer-key', at: from.name, peer: to.name });
    const during = await exchange();
    const ages = await handshakes(from.name);
    await fault.mend();
    const after = await untilAnswered();
    return {
      from: from.name,
      peer: to.name,
      held: fault.held,
      before,
      during,
      ages,
      recovered: after.converged,
    };
  },

  judge({ from, peer, held, before, during, ages, recovered }) {
    if (before.outcome !== 'answered')
      return inconclusive('control-failed', 'There was no traffic before the key was changed');
    if (!held) return inconclusive('fault-did-not-hold', 'The wrong key could not be put in place');
    if (during.outcome === 'answered' || ages[peer] !== undefined) {
      return failed(
        'handshake-with-wrong-key',
        `${from} and ${peer} talk though ${from} has a wrong key of ${peer}`,
        {
          expected: 'silence and no handshake',
          seen: `the request was ${during.outcome}, ${ages[peer] === undefined ? 'no handshake' : `handshake ${ages[peer]} s ago`}`,
          reproduce: { at: `${from}/gateway`, command: 'wg show' },
        },
      );
    }
    if (!recovered) {
      return inconclusive(
        'control-failed',
        `Traffic did not come back within ${RECOVERY_MS / 1_000} s after the right key was restored`,
      );
    }
    return passed('no handshake and no answer with a wrong key, both back with the right one');
  },
});

const CLOSED_TIMEOUT_MS = 600;

export const failsClosed = defineCheck({
  id: 'encryption.fails-closed',
  title: 'With the tunnel down nothing crosses in clear text',
  level: 'core',
  scope: 'pair',
  paths: ['direct'],
  requires: ['tunnel.encrypted', 'wan.capture', 'l3.pod'],
  dependsOn: ['encryption.wire'],
  uses: [client, echo],
  // A gateway has one interface for all its tunnels.
  exclusive: 'caller',
  together: TUNNEL_OUTAGE,
  mostlyWaits: true,
  // Those that share the outage may take longer for their controls.
  timeoutMs: 120_000,
  faults: [
    { kind: 'clear-text-route', cause: 'clear-text-when-down' },
    { kind: 'clear-text-fallback', cause: 'clear-text-when-down' },
  ],
  hint: "Give the gateway unreachable routes for the other clusters' ranges, so that no default route takes over when the tunnel goes",
  reference: 'RFC 7258',

  async observe(context) {
    const { from, to, disturb, converge, tunnelFilter = NO_FILTER } = context;
    const marker = newMarker(context);
    const target = to.site(ECHO).address;
    const before = await sendMarked(context, marker, 2_000, FEW_EXCHANGES);
    const fault = await disturb({ kind: 'tunnel-down', between: [from.name, to.name] });
    const { traffic, ...captures } = await captureWhile(from, { marker, tunnelFilter }, () =>
      sendMarked(context, marker, CLOSED_TIMEOUT_MS),
    );
    await fault.mend();
    const after = await converge(() => sendMarked(context, marker, 2_000, FEW_EXCHANGES), {
      succeeded: (exchanges) => exchanges.every(({ outcome }) => outcome === 'answered'),
      budgetMs: RECOVERY_MS,
      successes: 1,
    });
    const answered = (exchanges: readonly Exchange[]) =>
      exchanges.filter(({ outcome }) => outcome === 'answered').length;
    return {
      from: from.name,
      target,
      held: fault.held,
      before: answered(before),
      during: answered(traffic),
      captures,
      recovered: after.converged,
    };
  },

  judge({ from, target, held, before, during, captures: { control, wan, foreign }, recovered }) {
    const reproduce = { at: `${from}/gateway`, command: `ip route get ${target}` };
    const leaked = wan.markerPackets + foreign.markerPackets;
    if (leaked > 0) {
      return failed('clear-text-when-down', 'Traffic leaves in clear text while the tunnel is down', {
        expected: 'nothing with the marker on the wan',
        seen: `${leaked} packets with the marker: ${flowsOf(foreign.markerPackets > 0 ? foreign : wan)}`,
        reproduce,
      });
    }
    if (!(before > 0))
      return inconclusive(
        'control-failed',
        'The marked messages were not answered before the tunnel went down',
      );
    if (!held) return inconclusive('fault-did-not-hold', 'The tunnel could not be taken down');
    if (during > 0) {
      return failed('clear-text-when-down', 'Traffic still passes while the tunnel is down', {
        expected: 'no answers',
        seen: `${during} messages were answered by a path that is not the tunnel`,
        reproduce,
      });
    }
    if (!(control.markerPackets > 0)) {
      return inconclusive('control-failed', 'The control capture behind the gateway did not see the marker');
    }
    if (!recovered)
      return inconclusive('control-failed', 'Traffic did not come back after the tunnel was restored');
    return passed(`${control.markerPackets} marked packets reached the gateway, none left it`);
  },
});

/** So many that control planes, which talk by the same network, cannot be taken for them. */
const PODS_EXCHANGES = 150;

export const pods = defineCheck({
  id: 'encryption.pods',
  title: 'What workloads of two clusters send each other leaves their own nodes encrypted',
  level: 'extended',
  scope: 'pair',
  requires: ['l3.encrypted', 'l3.pod', 'gateway.probe', 'wan.capture'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  withoutFaults:
    'Whether nodes encrypt is settled in the kernel when the technology starts there: nothing takes it away from workloads that run, and what sends beside it would be another path than theirs',
  hint: 'Do the nodes of both clusters know each other’s keys, and does the technology encrypt on both sides?',
  reference: 'RFC 7258',

  async observe(context) {
    const { from, to } = context;
    const marker = newMarker(context);
    const capture = await from.capture({ interface: from.gateway.clusterInterface, filter: '', marker });
    const exchanges = await sendMarked(context, marker, 2_000, PODS_EXCHANGES);
    return {
      from: from.name,
      to: to.name,
      capture: await capture.stop(),
      answered: exchanges.filter(({ outcome }) => outcome === 'answered').length,
    };
  },

  judge({ from, to, capture, answered }) {
    const sent = answered * MARKED_PAYLOAD;
    const figures = {
      'marked payload': { value: sent, unit: 'bytes' },
      'seen between the nodes': { value: capture.bytes, unit: 'bytes' },
    };
    if (capture.markerPackets > 0) {
      return failed('clear-text-on-wan', `The nodes of ${from} send what is for ${to} in clear text`, {
        expected: 'the marker never appears behind the nodes',
        seen: `${capture.markerPackets} packets with the marker where the gateway of ${from} takes them: ${flowsOf(capture)}`,
        figures,
        reproduce: { at: `${from}/gateway`, command: 'tcpdump -nA' },
      });
    }
    if (!(answered > 0)) return inconclusive('control-failed', 'None of the marked messages was answered');
    if (capture.bytes < sent) {
      return inconclusive(
        'control-failed',
        `The capture behind the nodes saw ${capture.bytes} bytes of ${sent} sent: this flow did not pass there`,
      );
    }
    return passed('the marker is in no packet behind the nodes', figures);
  },
});

export const encryption: Suite = {
  id: 'encryption',
  title: 'Nothing crosses between clusters in clear text, whatever happens to the tunnel',
  checks: [wire, pods, handshake, wrongKey, failsClosed],
};
