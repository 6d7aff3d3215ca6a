/** At most `width` of the tasks given to the returned function run at once; the others wait in order. */
export function limiter(width: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = width;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

/**
 * A task that concurrent callers share: whoever calls while it runs gets the next run, one for all of them, so that
 * what they changed before the call is always included.
 */
export function shared(task: () => Promise<void>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  return () => {
    next ??= last
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return task();
      });
    last = next;
    return next;
  };
}
