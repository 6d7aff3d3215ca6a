/** What kubelet's readiness probe does, for one backend inside an agent. */
import type { Probe } from '../../model/probe.ts';
import { type Clock, systemClock } from '../../system/clock.ts';

/** As a readiness probe of a service that must fail over has it: `periodSeconds: 1`, `timeoutSeconds: 1`, `failureThreshold: 2`. */
export const READINESS = { periodMs: 1_000, timeoutMs: 1_000, failureThreshold: 2 } as const;

export interface ReadinessCheck {
  readonly probe: Pick<Probe, 'exchange'>;
  readonly address: string;
  readonly port: number;
  /** Called with each change; it is ready to begin with. */
  readonly onChange: (ready: boolean) => Promise<void>;
}

/** Looks every second until it is told to stop. @returns how to tell it, resolved when nothing more will change */
export function checkReadiness(
  { probe, address, port, onChange }: ReadinessCheck,
  clock: Clock = systemClock,
): () => Promise<void> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const isHealthy = async (): Promise<boolean> => {
    const call = { protocol: 'http' as const, address, port, timeoutMs: READINESS.timeoutMs };
    const [exchange] = await probe.exchange([call]);
    return exchange?.outcome === 'answered';
  };
  const look = async (): Promise<void> => {
    let failures = 0;
    let ready = true;
    while (!signal.aborted) {
      await clock.sleep(READINESS.periodMs, signal);
      failures = (await isHealthy()) ? 0 : failures + 1;
      const now: boolean = failures === 0 || (ready && failures < READINESS.failureThreshold);
      if (signal.aborted || now === ready) continue;
      ready = now;
      await onChange(ready);
    }
  };
  // An agent that is gone says nothing of its backends any more; what becomes of its pod, the run sees elsewhere.
  const looking = look().catch(() => undefined);
  return async () => {
    stopping.abort();
    await looking;
  };
}
