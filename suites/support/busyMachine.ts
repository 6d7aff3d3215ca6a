/** Whether it was the machine that had no time, and not the network: calls inside the caller's own cluster tell. */
import { CLIENT, ECHO } from '../../fixtures/workloads.ts';
import type { CauseCode } from '../../lib/model/causes.ts';
import type { ClusterView } from '../../lib/model/check.ts';
import type { Sample } from '../../lib/model/probe.ts';
import { type Verdict, inconclusive } from '../../lib/model/verdict.ts';
import { PORTS } from '../../lib/model/workload.ts';

const CONTROLS_PER_SECOND = 10;

/** Failures that a machine without time can bring about, and the share of late control calls from which it may have. */
export type Excuses = Partial<Record<CauseCode, number>>;

/** Starts calls to a workload beside the caller, which nothing disturbs. @returns the id of the sampling */
export const startControl = (
  from: ClusterView,
  limits: { readonly timeoutMs: number; readonly durationMs: number },
): Promise<string> =>
  from.site(CLIENT).startSampling({
    address: from.site(ECHO).address,
    port: PORTS.http,
    connections: 'new',
    ratePerSecond: CONTROLS_PER_SECOND,
    ...limits,
  });

/** A check or its control that fails while calls inside the caller's own cluster are late as well says nothing of the network. */
export function unlessMachineIsBusy(
  verdict: Verdict,
  { from, control = [] }: { readonly from: string; readonly control?: readonly Sample[] },
  { excuses, timeoutMs }: { readonly excuses: Excuses; readonly timeoutMs: number },
): Verdict {
  // Inside a cluster an answer takes a few milliseconds; where it takes this, a call that passes proxies at both ends and
  // gateways between them, each of which waits for a processor as well, is out of time.
  const slowMs = timeoutMs / 4;
  const late = control.filter(
    ({ outcome, latencyMs }) => outcome !== 'answered' || latencyMs > slowMs,
  ).length;
  const excuse = verdict.cause && excuses[verdict.cause];
  if (excuse === undefined || late === 0 || late / control.length < excuse) {
    return verdict;
  }
  return inconclusive(
    'cpu-saturated',
    `${verdict.reason}, but ${late} of ${control.length} calls inside ${from} took more than ${slowMs} ms at the same time: this machine is too busy`,
    verdict.figures && { figures: verdict.figures },
  );
}
