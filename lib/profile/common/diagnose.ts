import { messageOf } from '../../model/errors.ts';

const MOST_TEXT = 256 * 1024;

/** Asks everything at once; where there is no answer stands why. Each answer is bounded, its end kept. */
export async function answersTo(
  questions: Readonly<Record<string, () => Promise<string>>>,
): Promise<Readonly<Record<string, string>>> {
  const answers = await Promise.all(
    Object.entries(questions).map(async ([file, question]) => {
      try {
        return [file, (await question()).slice(-MOST_TEXT)] as const;
      } catch (error) {
        return [file, messageOf(error)] as const;
      }
    }),
  );
  return Object.fromEntries(answers);
}
