/** Health of the own backends: each (address, port) is checked once, however many services it stands behind. */
import { HealthCheck } from './health-check.ts';

/** Between the starts of two checks of a backend. A fifth of a second keeps failover well below what a client notices. */
export const HEALTH_PERIOD_MS = 200;
/** A backend in the same cluster answers within a few milliseconds; 400 ms spares a busy machine false alarms. */
export const HEALTH_TIMEOUT_MS = 400;
/** One failure may be a lost packet, two in a row are a backend in trouble. One success is enough to come back. */
export const FAILURES_UNTIL_DOWN = 2;
/** A backend that has failed a check is checked again no later than this, where the period is longer. */
const RECHECK_MS = 1_000;
/** One that was never there, or has been away for long, is no news: controllers that share a machine look less often. */
const FAILURES_UNTIL_FORGOTTEN = 5;
const LONGEST_RECHECK_MS = 2_000;

const HEALTH_PATH = '/healthz';

/**
 * Longest time from a backend's death to its removal here: it dies right after a check, and every further check runs
 * into its time-out (a refused one fails sooner).
 */
export function worstCaseDetectionMs(periodMs = HEALTH_PERIOD_MS): number {
  const untilNextStarts = Math.max(Math.min(periodMs, RECHECK_MS), HEALTH_TIMEOUT_MS);
  return periodMs + (FAILURES_UNTIL_DOWN - 1) * untilNextStarts + HEALTH_TIMEOUT_MS;
}

export interface Health {
  readonly state: 'up' | 'down' | 'unknown';
  /** Failed checks in a row. */
  readonly failures: number;
}

export function nextHealth(before: Health, succeeded: boolean): Health {
  if (succeeded) return { state: 'up', failures: 0 };
  const failures = before.failures + 1;
  const isDown = before.state !== 'up' || failures >= FAILURES_UNTIL_DOWN;
  return { state: isDown ? 'down' : 'up', failures };
}

/** Between the starts of two checks, by what the first of them showed. */
export function untilNextCheck({ failures }: Health, periodMs: number): number {
  if (failures === 0) return periodMs;
  if (failures > FAILURES_UNTIL_FORGOTTEN && periodMs > HEALTH_PERIOD_MS)
    return Math.min(2 * periodMs, LONGEST_RECHECK_MS);
  return Math.min(periodMs, RECHECK_MS);
}

export interface Target {
  readonly address: string;
  readonly port: number;
}

interface Watched {
  readonly target: Target;
  readonly check: HealthCheck;
  health: Health;
  /** When the present state began, on the monotonic clock. */
  since: number;
  timer: NodeJS.Timeout | undefined;
  stopped: boolean;
}

const nameOf = ({ address, port }: Target): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

export class HealthChecks {
  readonly #watched = new Map<string, Watched>();
  readonly #onChange: (target: Target, state: Health['state'], cause: string) => void;
  #periodMs = HEALTH_PERIOD_MS;

  constructor(onChange: (target: Target, state: Health['state'], cause: string) => void) {
    this.#onChange = onChange;
  }

  /** Replaces the set of backends to check. Resolves when each of the new ones has been checked once. */
  async watch(targets: readonly Target[], periodMs: number): Promise<void> {
    this.#periodMs = periodMs;
    const wanted = new Map(targets.map((target) => [nameOf(target), target]));
    for (const [name, watched] of this.#watched) {
      if (wanted.has(name)) continue;
      watched.stopped = true;
      clearTimeout(watched.timer);
      watched.check.stop();
      this.#watched.delete(name);
    }
    const added = [...wanted].filter(([name]) => !this.#watched.has(name));
    await Promise.all(
      added.map(([name, target]) => {
        const watched: Watched = {
          target,
          check: new HealthCheck(target.address, target.port, HEALTH_PATH),
          health: { state: 'unknown', failures: 0 },
          since: performance.now(),
          timer: undefined,
          stopped: false,
        };
        this.#watched.set(name, watched);
        return this.#check(watched);
      }),
    );
  }

  isUp(address: string, port: number): boolean {
    return this.stateOf(address, port).state === 'up';
  }

  stateOf(address: string, port: number): { state: Health['state']; ageMs: number } {
    const watched = this.#watched.get(nameOf({ address, port }));
    if (!watched) return { state: 'unknown', ageMs: 0 };
    return { state: watched.health.state, ageMs: Math.round(performance.now() - watched.since) };
  }

  stop(): void {
    void this.watch([], this.#periodMs);
  }

  /** Never rejects. */
  async #check(watched: Watched): Promise<void> {
    const started = performance.now();
    const failure = await watched.check.run(HEALTH_TIMEOUT_MS);
    if (watched.stopped) {
      watched.check.stop();
      return;
    }
    const before = watched.health;
    watched.health = nextHealth(before, failure === undefined);
    const delay = Math.max(0, untilNextCheck(watched.health, this.#periodMs) - (performance.now() - started));
    watched.timer = setTimeout(() => void this.#check(watched), delay);
    if (watched.health.state !== before.state) {
      watched.since = performance.now();
      this.#onChange(watched.target, watched.health.state, failure ?? 'health check passed');
    }
  }
}
