/** What a pod said of why it was not ready, look by look. */

/** What lasted less explains no set-up that takes long. */
const LEAST_MS = 500;

export class Waits {
  /** Milliseconds by reason. */
  readonly #reasons = new Map<string, number>();
  #last: number;
  #current: string | undefined;

  /** @param began monotonic, as all times here */
  constructor(began: number) {
    this.#last = began;
  }

  /** The time since the last look counts as what is seen at its end. */
  saw(why: string, now: number): void {
    // Schedulers go on at length about what they do not do; the first sentence says what is missing.
    const [reason = why] = why.split('. ', 1);
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + now - this.#last);
    this.#last = now;
    this.#current = why;
  }

  /** `12.3 s no node takes it: …; 4.0 s not ready: agent (ContainerCreating)`, the longest first; nothing where nothing lasted. */
  ended(now: number): { waited?: string } {
    if (this.#current !== undefined) this.saw(this.#current, now);
    const lasting = [...this.#reasons]
      .filter(([, milliseconds]) => milliseconds >= LEAST_MS)
      .toSorted(([, a], [, b]) => b - a);
    if (lasting.length === 0) return {};
    return {
      waited: lasting
        .map(([why, milliseconds]) => `${(milliseconds / 1_000).toFixed(1)} s ${why}`)
        .join('; '),
    };
  }
}
