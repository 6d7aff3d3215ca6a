/**
 * Like `Promise.all`, but rejects only when none of them goes on any more: what goes on unseen could still create things.
 *
 * @throws what the first of them that failed, in this order, throws
 */
export async function allEnded<const T extends readonly unknown[]>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
