/** What the samples of a drill say. Pure. */
import type { ClientSummary, DrillClient, DrillObservation, DrillSample } from '../model/drill.ts';
import { describeFault } from '../model/prove.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../model/verdict.ts';

/** Requests pass again when none has failed for this long. */
export const CALM_MS = 1_500;

export function summarise(
  { samples }: DrillClient,
  { faultAt, mendAt, endedAt }: Pick<DrillObservation, 'faultAt' | 'mendAt' | 'endedAt'>,
): ClientSummary {
  const bad = samples.filter((sample) => !sample.ok && sample.at + sample.latencyMs >= faultAt);
  const [first] = bad;
  const endOf = ({ at, latencyMs }: DrillSample): number => at + latencyMs;
  const badUnder = bad.filter(({ at }) => at < mendAt);
  const lastUnder = Math.max(...badUnder.map(endOf), -Infinity);
  const last = Math.max(...bad.map(endOf), -Infinity);
  const failedOver = badUnder.length > 0 && lastUnder <= mendAt - CALM_MS;
  const recovered = last <= endedAt - CALM_MS / 2;
  return {
    requests: samples.filter(({ at }) => at >= faultAt).length,
    lost: bad.length,
    ...(first && { noticedMs: Math.max(0, Math.round(first.at - faultAt)) }),
    ...(failedOver && { failedOverMs: Math.round(lastUnder - faultAt) }),
    ...(recovered && { recoveredMs: Math.max(0, Math.round(last - mendAt)) }),
    answeredBy: [
      answerers(samples, 0, faultAt),
      answerers(samples, faultAt, mendAt),
      answerers(samples, mendAt, Infinity),
    ],
  };
}

const answerers = (samples: readonly DrillSample[], from: number, until: number): string[] => [
  ...new Set(
    samples.flatMap(({ at, ok, cluster }) =>
      ok && cluster !== undefined && at >= from && at < until ? [cluster] : [],
    ),
  ),
];

export const clientName = ({ from, to, kind }: Pick<DrillClient, 'from' | 'to' | 'kind'>): string =>
  `${from}->${to} ${kind}`;

/** Failed when a client does not recover once the fault is mended: what it loses meanwhile is a figure. */
export function judgeDrill(drill: DrillObservation): Verdict {
  const named = drill.clients.map((client) => ({
    name: clientName(client),
    client,
    summary: summarise(client, drill),
  }));
  const figures: Figures = Object.assign(
    {},
    ...named.map(({ name, summary }): Figures => ({
      [`lost, ${name}`]: { value: summary.lost, unit: `of ${summary.requests} requests` },
      ...(summary.noticedMs !== undefined && {
        [`noticed, ${name}`]: { value: summary.noticedMs, unit: 'ms' },
      }),
      ...(summary.recoveredMs !== undefined && {
        [`recovered, ${name}`]: { value: summary.recoveredMs, unit: 'ms' },
      }),
    })),
  ) as Figures;
  const fault = describeFault(drill.fault);
  if (!drill.held) return inconclusive('fault-did-not-hold', `${fault} did not take hold`, { figures });
  const silent = named.filter(({ client }) => !client.samples.some(({ at, ok }) => ok && at < drill.faultAt));
  if (named.length === 0 || silent.length === named.length)
    return inconclusive('control-failed', 'No client was answered before the fault', { figures });
  const down = named.filter(
    ({ summary, name }) => summary.recoveredMs === undefined && !silent.some((one) => one.name === name),
  );
  if (down.length > 0) {
    return failed('no-failback', `${down.length} of ${named.length} clients do not recover from ${fault}`, {
      expected: 'every client is answered again once the fault is mended',
      seen: `still failing at the end: ${down.map(({ name }) => name).join(', ')}`,
      figures,
    });
  }
  const noticed = named.filter(({ summary }) => summary.lost > 0);
  return passed(
    noticed.length === 0
      ? `No client noticed ${fault}`
      : `${noticed.length} of ${named.length} clients lost requests to ${fault}, and all recovered`,
    figures,
  );
}
