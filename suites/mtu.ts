import { CLIENT, ECHO, client, echo } from '../fixtures/workloads.ts';
import { MINIMUM_PATH_MTU } from '../lib/model/budgets.ts';
import { type Expectation, type Suite, defineCheck } from '../lib/model/check.ts';
import type { IpFamily } from '../lib/model/cidr.ts';
import type { PathMtu, Transfer } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';

/** IP and ICMP headers in front of a ping's payload, bytes. */
const PING_HEADERS: Record<IpFamily, number> = { ipv4: 28, ipv6: 48 };
/** IP and TCP headers without options, bytes. */
const TCP_HEADERS: Record<IpFamily, number> = { ipv4: 40, ipv6: 60 };
/** Below the smallest budget anybody may set: RFC 791 asks every IPv4 host to take 576 bytes. */
const SWEEP_FLOOR = 576;

/**
 * Message lengths at which packetisation changes: one byte, powers of two and their neighbours, around the MSS and
 * the path MTU, and more than one window update.
 */
export function lengthsAround(pathMtu: number, family: IpFamily): number[] {
  const around = (length: number, reach: number): number[] =>
    Array.from({ length: 2 * reach + 1 }, (_, index) => length - reach + index);
  const powers = [512, 1024, 2048, 4096, 8192, 16_384].flatMap((power) => around(power, 1));
  const mss = pathMtu - TCP_HEADERS[family];
  return [...new Set([1, ...powers, ...around(mss, 2), ...around(pathMtu, 2), 65_536])].toSorted(
    (a, b) => a - b,
  );
}

/** Messages of a stream that large packets must carry, in path MTUs; `mtu.lengths` has all the others. */
const STREAM_OF = [1, 2, 8];

const reproducePing = (family: IpFamily, size: number, address: string): string =>
  `ping ${family === 'ipv6' ? '-6 ' : ''}-M do -c 3 -W 1 -s ${size - PING_HEADERS[family]} ${address}`;

interface Sweeps {
  readonly from: string;
  readonly to: string;
  readonly target: string;
  readonly there: PathMtu;
  readonly back: PathMtu;
  /** A stream of more than a path MTU both ways, which stalls in a black hole. */
  readonly stream: Transfer;
}

const figuresOf = ({ there, back }: Sweeps): Figures => ({
  'path MTU there': { value: there.mtu, unit: 'bytes' },
  'path MTU back': { value: back.mtu, unit: 'bytes' },
});

function judgeSilence(
  sweeps: Sweeps,
  direction: 'there' | 'back',
  expectation: Expectation,
): Verdict | undefined {
  const sweep = sweeps[direction];
  if (sweep.silentAbove === undefined) return undefined;
  const [from, to] = direction === 'there' ? [sweeps.from, sweeps.to] : [sweeps.to, sweeps.from];
  const details = {
    expected: `packets above the path MTU are answered with ICMP ${expectation.family === 'ipv4' ? '"fragmentation needed"' : '"packet too big"'}`,
    figures: figuresOf(sweeps),
    ...(direction === 'there' && {
      reproduce: {
        at: `${sweeps.from}/${CLIENT}`,
        command: reproducePing(expectation.family, sweep.silentAbove + 1, sweeps.target),
      },
    }),
  };
  const vanishing = `packets above ${sweep.silentAbove} bytes from ${from} to ${to} vanish without a word (interface MTU ${sweep.interfaceMtu})`;
  return sweeps.stream.complete
    ? failed('mtu-masked', `A black hole above ${sweep.silentAbove} bytes is hidden from TCP`, {
        ...details,
        seen: `${vanishing}; TCP still passes (MSS ${sweeps.stream.socket?.mss ?? 'unknown'}), UDP and QUIC will not`,
      })
    : failed('mtu-black-hole', `Black hole above ${sweep.silentAbove} bytes`, {
        ...details,
        seen: `${vanishing}; a TCP stream stalls${sweeps.stream.stalledAt === undefined ? '' : ` at a message of ${sweeps.stream.stalledAt} bytes`}`,
      });
}

export const pathMtu = defineCheck({
  id: 'mtu.path',
  title: 'Packets up to the path MTU pass both ways, larger ones are refused out loud',
  level: 'core',
  scope: 'pair',
  requires: ['l3.pod', 'icmp'],
  dependsOn: ['reachability.icmp'],
  uses: [client, echo],
  budgets: { minimum: MINIMUM_PATH_MTU },
  faults: [
    { kind: 'mtu-lowered', cause: 'mtu-asymmetric' },
    { kind: 'mtu-lowered', cause: 'mtu-below-configured' },
    { kind: 'mtu-lowered', cause: 'mtu-masked' },
    { kind: 'large-packets-dropped', cause: 'mtu-black-hole' },
  ],
  hint: 'Compare the MTU of the tunnel interfaces at both ends and let ICMP type 3 code 4 (ICMPv6 type 2) pass everywhere',
  reference: 'RFC 1191, RFC 8201, RFC 4459',
  timeoutMs: 40_000,

  async observe({ from, to, note }): Promise<Sweeps> {
    const caller = from.site(CLIENT);
    const target = to.site(ECHO);
    const forgot = await Promise.all([caller.forgetPathMtu(), target.forgetPathMtu()]);
    if (forgot.includes(false)) note('Path MTUs that were learnt within the last ten minutes still count');
    const [there, back] = await Promise.all([
      caller.sweepPathMtu({ address: target.address, floor: SWEEP_FLOOR }),
      target.sweepPathMtu({ address: caller.address, floor: SWEEP_FLOOR }),
    ]);
    // What the sweeps taught the kernel would spare the stream the black hole.
    await Promise.all([caller.forgetPathMtu(), target.forgetPathMtu()]);
    const most = Math.max(there.mtu, SWEEP_FLOOR);
    const stream = await caller.transfer({
      address: target.address,
      port: PORTS.echo,
      lengths: STREAM_OF.map((packets) => packets * most),
      timeoutMs: 5_000,
      // How TCP gets past a black hole.
      facts: there.silentAbove !== undefined || back.silentAbove !== undefined,
    });
    return { from: from.name, to: to.name, target: target.address, there, back, stream };
  },

  judge(sweeps, { minimum }, expectation) {
    const { there, back } = sweeps;
    if (!(there.mtu > 0) || !(back.mtu > 0)) {
      return inconclusive(
        'control-failed',
        `No packet of even ${SWEEP_FLOOR} bytes was answered, so nothing can be said of larger ones`,
      );
    }
    const silence = judgeSilence(sweeps, 'there', expectation) ?? judgeSilence(sweeps, 'back', expectation);
    if (silence) return silence;
    const figures = figuresOf(sweeps);
    const reproduce = {
      at: `${sweeps.from}/${CLIENT}`,
      command: reproducePing(expectation.family, Math.max(there.mtu, back.mtu), sweeps.target),
    };
    if (there.mtu !== back.mtu) {
      return failed('mtu-asymmetric', 'The two directions have different path MTUs', {
        expected: 'the same path MTU both ways',
        seen: `${there.mtu} bytes from ${sweeps.from} to ${sweeps.to}, ${back.mtu} bytes back`,
        figures,
        reproduce,
      });
    }
    if (there.mtu < minimum) {
      return failed('mtu-too-small', `Path MTU of ${there.mtu} bytes`, {
        expected: `at least ${minimum} bytes`,
        seen: `${there.mtu} bytes both ways`,
        figures,
        reproduce,
      });
    }
    const configured = expectation.configuredPathMtu;
    if (configured !== undefined && there.mtu < configured) {
      return failed('mtu-below-configured', `Path MTU of ${there.mtu} bytes instead of ${configured}`, {
        expected: `${configured} bytes, as the tunnel was configured`,
        seen: `${there.mtu} bytes both ways`,
        figures,
        reproduce,
      });
    }
    if (!sweeps.stream.complete) {
      return failed(
        'large-transfer-stalls',
        'Packets of every size pass, but a TCP stream with large messages stalls',
        {
          expected: 'every message comes back whole',
          seen: sweeps.stream.detail ?? `nothing after ${sweeps.stream.arrived.at(-1) ?? 0} bytes`,
          figures,
        },
      );
    }
    return passed(`${there.mtu} bytes both ways`, figures);
  },
});

export const lengths = defineCheck({
  id: 'mtu.lengths',
  title: 'Messages of every critical length arrive whole, as request and as answer',
  level: 'core',
  scope: 'pair',
  requires: ['l3.pod'],
  dependsOn: ['reachability.tcp', 'mtu.path'],
  uses: [client, echo],
  faults: [{ kind: 'large-packets-dropped', cause: 'large-transfer-stalls' }],
  mostlyWaits: true,
  hint: 'Small messages pass and large ones stall: look for a lower MTU on the way without ICMP, and for broken segmentation offload',
  reference: 'RFC 2923',
  timeoutMs: 30_000,

  async observe({ from, to, family, configuredPathMtu }) {
    const target = to.site(ECHO);
    const caller = from.site(CLIENT);
    const sizes = lengthsAround(configuredPathMtu ?? MINIMUM_PATH_MTU.value, family);
    const one = sizes.map(() => 1);
    const [requests, answers] = await Promise.all([
      caller.transfer({
        address: target.address,
        port: PORTS.echo,
        lengths: sizes,
        answerLengths: one,
        timeoutMs: 8_000,
      }),
      caller.transfer({
        address: target.address,
        port: PORTS.echo,
        lengths: one,
        answerLengths: sizes,
        timeoutMs: 8_000,
      }),
    ]);
    return { at: from.name, sizes, requests, answers };
  },

  judge({ at, sizes, requests, answers }) {
    for (const [what, transfer] of [
      ['requests', requests],
      ['answers', answers],
    ] as const) {
      const stalled = transfer.stalledAt;
      if (!transfer.complete && transfer.arrived.length === 0) {
        return inconclusive('control-failed', `Not even one byte came through as part of the ${what}`);
      }
      if (!transfer.complete || transfer.arrived.length !== sizes.length) {
        return failed(
          'large-transfer-stalls',
          `Messages stall at ${stalled ?? 'an unknown length'} bytes (${what})`,
          {
            expected: `${sizes.length} ${what} of 1 to ${sizes.at(-1)} bytes, each whole`,
            seen: `${transfer.arrived.length} arrived${transfer.detail ? `; ${transfer.detail}` : ''}`,
            reproduce: { at: `${at}/${CLIENT}`, command: 'ss -tin' },
          },
        );
      }
    }
    return passed(`${sizes.length} lengths up to ${sizes.at(-1)} bytes, each way`);
  },
});

/** Deep enough below every tunnel's MTU that TCP must shrink its segments to pass. */
const LOWERED_MTU = 1300;

export const mtuProbing = defineCheck({
  id: 'mtu.probing',
  title: 'With packetization-layer MTU discovery a stream survives a black hole',
  level: 'extended',
  scope: 'pair',
  paths: ['direct'],
  requires: ['l3.pod', 'tunnel.encrypted', 'workload.privileged'],
  dependsOn: ['mtu.path'],
  uses: [client, echo],
  exclusive: 'pair',
  faults: [],
  withoutFaults: 'It injects its own: the tunnel MTU is lowered and the ICMP errors are dropped',
  hint: 'Set net.ipv4.tcp_mtu_probing=1 on workloads or clamp the MSS at the gateways',
  reference: 'RFC 4821',
  timeoutMs: 60_000,

  async observe({ from, to, disturb, family }) {
    const caller = from.site(CLIENT);
    const target = to.site(ECHO);
    const stream = async () => {
      await Promise.all([caller.forgetPathMtu(), target.forgetPathMtu()]);
      return caller.transfer({
        address: target.address,
        port: PORTS.echo,
        lengths: lengthsAround(LOWERED_MTU, family),
        timeoutMs: 12_000,
      });
    };
    const control = await stream();
    const fault = await disturb({ kind: 'mtu-lowered', at: from.name, mtu: LOWERED_MTU, icmp: 'dropped' });
    if (!fault.held) return { held: false, control, without: control, probing: control };
    const without = await stream();
    await caller.setMtuProbing(1);
    let probing: Transfer;
    try {
      probing = await stream();
    } finally {
      await caller.setMtuProbing(0);
    }
    return { held: true, control, without, probing };
  },

  judge({ held, control, without, probing }) {
    if (!control.complete) return inconclusive('control-failed', 'The stream stalls without any fault');
    if (!held) return inconclusive('fault-did-not-hold', 'The black hole could not be made');
    const plain = without.complete ? 'survives by MSS clamping' : 'stalls';
    if (!probing.complete) {
      return failed('mtu-black-hole', 'A stream stalls in a black hole even with MTU probing', {
        expected: 'tcp_mtu_probing finds a segment size that passes',
        seen: `without probing it ${plain}, with probing it stalls${probing.stalledAt ? ` at ${probing.stalledAt} bytes` : ''}`,
      });
    }
    return passed(`with probing a stream survives a black hole, without it ${plain}`);
  },
});

export const mtu: Suite = {
  id: 'mtu',
  title: 'Packets of every size pass both ways, or are refused out loud',
  checks: [pathMtu, lengths, mtuProbing],
};
