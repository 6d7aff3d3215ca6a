/** Finds the output folder of a run whose arguments may be wrong in every other respect. */
import { DEFAULTS } from '../config/names.ts';
import { type Output, openOutput } from '../run/output.ts';
import { readConfigurationFile } from './configuration-file.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws UserError when another run lives there, or the folder cannot be written */
export async function openOutputOf(argv: readonly string[], environment: Environment): Promise<Output> {
  const named = lastValueOf('--out', argv) || environment['MCNET_OUT'];
  return openOutput(named || (await outOfFile(argv, environment)) || DEFAULTS.out);
}

function lastValueOf(flag: string, argv: readonly string[]): string | undefined {
  const values = argv.flatMap((word, index) => {
    if (word === flag) return argv.slice(index + 1, index + 2);
    return word.startsWith(`${flag}=`) ? [word.slice(flag.length + 1)] : [];
  });
  return values.at(-1);
}

/** Whatever is wrong with the file is told later; here it only must not hide where the results go. */
async function outOfFile(argv: readonly string[], environment: Environment): Promise<string | undefined> {
  try {
    const file = await readConfigurationFile(lastValueOf('--config', argv) ?? environment['MCNET_CONFIG']);
    const out = (file?.values as { out?: unknown } | undefined)?.out;
    return typeof out === 'string' ? out : undefined;
  } catch {
    return undefined;
  }
}
