/** Parts of a phase of the set-up, timed one by one, so that a set-up that takes long says what it waited for. */

export interface SetUpStep {
  /** `control plane installed`; the same in every cluster. */
  readonly what: string;
  readonly cluster?: string;
}

/** What it waited for goes along with a step, as said last; undefined says nothing. Never a secret. */
export type Note = (detail: string | undefined) => void;

/** Runs a part of the set-up, which the record names then. */
export type Step = <T>(step: SetUpStep, action: (note: Note) => Promise<T>) => Promise<T>;

/** For whoever keeps no record. */
export const untold: Step = (_step, action) => action(() => {});

/** The same in every cluster at once, a step each. */
export const inEach = <C extends { readonly name: string }, T>(
  clusters: readonly C[],
  step: Step,
  what: string,
  action: (cluster: C) => Promise<T>,
): Promise<T[]> =>
  Promise.all(clusters.map((cluster) => step({ what, cluster: cluster.name }, () => action(cluster))));
