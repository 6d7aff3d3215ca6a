/** Parts of a phase of the set-up, timed one by one, so that a set-up that takes long says what it waited for. */

export interface SetUpStep {
  /** `control plane installed`; the same in every cluster. */
  readonly what: string;
  readonly cluster?: string;
}

/** Runs a part of the set-up, which the record names then; whatever is noted last goes along. Never a secret. */
export type Step = <T>(step: SetUpStep, action: (note: (detail: string) => void) => Promise<T>) => Promise<T>;

/** For whoever keeps no record. */
export const untold: Step = (_step, action) => action(() => {});
