import type { Probe } from '../model/probe.ts';

/** A probe whose agent is only started when something is asked of it. */
export function lazyProbe(start: () => Promise<Probe>): Probe {
  let started: Promise<Probe> | undefined;
  return new Proxy({} as Probe, {
    get(_, method) {
      // Whoever awaits the probe itself asks whether it is a promise.
      if (typeof method === 'symbol' || method === 'then') return undefined;
      return async (...parameters: unknown[]): Promise<unknown> => {
        started ??= start().catch((error: unknown) => {
          started = undefined;
          throw error;
        });
        const probe = await started;
        const call = probe[method as keyof Probe] as (...all: unknown[]) => Promise<unknown>;
        return call.apply(probe, parameters);
      };
    },
  });
}
