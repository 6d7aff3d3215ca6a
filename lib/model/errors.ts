/** Something the user can mend: bad input, a missing tool, a set-up that cannot work. Exit code 2. */
export class UserError extends Error {
  override readonly name = 'UserError';
  /** Where it was found: a flag, `file:line`, a host, a cluster. */
  readonly where: string | undefined;
  /** What to do about it, in one sentence or one command. */
  readonly remedy: string | undefined;

  constructor(what: string, details: { where?: string; remedy?: string; cause?: unknown } = {}) {
    super(what, { cause: details.cause });
    this.where = details.where;
    this.remedy = details.remedy;
  }
}

/** A broken assumption of this program itself: a defect to report, never the user's fault. */
export class InternalError extends Error {
  override readonly name = 'InternalError';
}

/** This system has no means for what is wanted: the case is skipped with the reason. */
export class NotApplicableError extends Error {
  override readonly name = 'NotApplicableError';
}

/** The run was asked to stop (signal or deadline); not a failure of anything observed. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
  readonly by: 'SIGINT' | 'SIGTERM' | 'deadline';

  constructor(message: string, by: 'SIGINT' | 'SIGTERM' | 'deadline' = 'SIGINT') {
    super(message);
    this.by = by;
  }
}

/** The message of anything thrown, without assuming that it is an Error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
