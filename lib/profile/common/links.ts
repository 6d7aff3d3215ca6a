import type { BrokenLink } from '../../model/cluster.ts';
import { messageOf } from '../../model/errors.ts';

/** Looks at every link of a chain at once. @returns those that are broken, in the order of the looks */
export async function lookAtLinks(
  looks: readonly (() => Promise<readonly BrokenLink[]>)[],
): Promise<readonly BrokenLink[]> {
  const found = await Promise.all(
    looks.map(async (look): Promise<readonly BrokenLink[]> => {
      try {
        return await look();
      } catch (error) {
        // What cannot be asked is no broken link, but a person wants to know of it.
        return [{ cause: 'probe-failed', what: messageOf(error) }];
      }
    }),
  );
  return found
    .flat()
    .toSorted((a, b) => Number(a.cause === 'probe-failed') - Number(b.cause === 'probe-failed'));
}
