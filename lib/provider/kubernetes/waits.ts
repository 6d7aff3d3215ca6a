/** What a pod said of why it was not ready, look by look. */

/** What lasted less explains no set-up that takes long. */
const LEAST_MS = 500;

export class Waits {
  /** Milliseconds by reason, in the order in which they were given. */
  readonly #reasons = new Map<string, number>();
  #last: number;
  #current: string | undefined;

  /** @param began monotonic, as all times here */
  constructor(began: number) {
    this.#last = began;
  }

  /** The time since the last look counts as what is seen at its end. */
  saw(why: string, now: number): void {
    this.#reasons.set(why, (this.#reasons.get(why) ?? 0) + now - this.#last);
    this.#last = now;
    this.#current = why;
  }

  /** `no node takes it: … 12.3 s; not ready: agent (ContainerCreating) 4.0 s`; nothing where nothing lasted. */
  ended(now: number): { waited?: string } {
    if (this.#current !== undefined) this.saw(this.#current, now);
    const lasting = [...this.#reasons].filter(([, milliseconds]) => milliseconds >= LEAST_MS);
    if (lasting.length === 0) return {};
    return {
      waited: lasting
        .map(([why, milliseconds]) => `${why} ${(milliseconds / 1_000).toFixed(1)} s`)
        .join('; '),
    };
  }
}
