/** What can go wrong, in two classes: what the user can put right, and a build that failed. */

/** The machine or the command line is not as it must be. Exit code 2. */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly remedy: string;

  constructor(what: string, remedy: string) {
    super(what);
    this.remedy = remedy;
  }
}

/** A program that a step runs has failed; its log says more. Exit code 1. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  readonly log: string;
  /** The last lines of the log. */
  readonly tail: string;

  constructor(what: string, log: string, tail: string) {
    super(what);
    this.log = log;
    this.tail = tail;
  }
}
