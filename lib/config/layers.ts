/** Flags, environment and file, each judged where it stands, merged by precedence. Pure. */
import type { z } from 'zod';
import { UserError } from '../model/errors.ts';
import type { ConfigurationFile, Path } from './file.ts';
import { FLAGS, type Flag, environmentName, longFlag } from './flags.ts';
import { DEFAULTS } from './names.ts';
import { suggest } from './nearest.ts';
import { type Problem, problemsError } from './problems.ts';
import {
  CONFIGURATION_KEYS,
  type Configuration,
  type ConfigurationKey,
  configurationSchema,
} from './schema.ts';

export interface Sources {
  /** Values of the flags that were given, by key. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file?: ConfigurationFile;
  /** What holds for every run of this user; everything else comes before it. */
  readonly userFile?: ConfigurationFile;
}

export interface Configured {
  readonly values: Configuration;
  /** Keys that the user set, as written. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Where a key was set: a flag, a variable, a place in the file; its flag when nowhere. */
  whereOf(key: ConfigurationKey, path?: Path, name?: string): string;
}

interface Layer {
  readonly raw: unknown;
  where(path: Path, key?: string): string;
  readonly values: Configuration;
}

/** The rest of the environment that has our prefix: marks that a run gives to its own processes. */
const OWN_MARKS: ReadonlySet<string> = new Set(['MCNET_RUN']);
/** Named on the command line or in the environment only. */
export const CONFIG_KEY = 'config';

/** @throws UserError for whatever is unknown, malformed or of the wrong type, with its place */
export function mergeConfiguration(sources: Sources): Configured {
  const flags = layerOf(sources.flags, ([key]) => longFlag(String(key ?? '')));
  const environment = layerOf(fromEnvironment(sources.environment), ([key]) =>
    environmentName(String(key ?? '')),
  );
  const defaults = layerOf(DEFAULTS, ([key]) => longFlag(String(key ?? '')));
  const layers = [flags, environment, fileLayer(sources.file), fileLayer(sources.userFile)];
  return {
    values: merged([defaults, ...layers.toReversed()].map((layer) => layer.values)),
    given: merged(layers.toReversed().map((layer) => layer.raw as Record<string, unknown>)),
    whereOf: (key, path = [], name) =>
      (layers.find((layer) => key in layer.values) ?? defaults).where([key, ...path], name),
  };
}

/** Tables whose entries stand for themselves: one file may replace an image without losing those of another. */
const MERGED_BY_ENTRY = [
  'images',
  'versions',
  'tools',
  'charts',
] as const satisfies readonly ConfigurationKey[];

/** Later ones win. */
function merged<T extends object>(layers: readonly T[]): T {
  const all: Record<string, unknown> = Object.assign({}, ...layers);
  for (const key of MERGED_BY_ENTRY) {
    if (key in all) {
      all[key] = Object.assign({}, ...layers.map((layer) => (layer as Record<string, unknown>)[key]));
    }
  }
  return all as T;
}

const fileLayer = (file: ConfigurationFile | undefined): Layer =>
  layerOf(file?.values ?? {}, (path, key) => file?.locate(path, key) ?? '');

function layerOf(raw: unknown, where: Layer['where']): Layer {
  const parsed = configurationSchema.safeParse(raw, { reportInput: true });
  if (parsed.success) return { raw, where, values: parsed.data };
  const [first, ...others] = parsed.error.issues.flatMap((issue) => problemsOf(issue, where));
  throw problemsError([first as Problem, ...others]);
}

type Issue = z.core.$ZodIssue;

function problemsOf(issue: Issue, where: Layer['where']): Problem[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        what: `"${key}" is not a known key`,
        where: where(issue.path, key),
        remedy: suggest(key, keysAt(issue.path)),
      }));
    case 'invalid_value':
      return [
        {
          what: `${show(issue.input)} is not a known value of ${nameOf(issue.path)}`,
          where: where(issue.path),
          remedy: suggest(String(issue.input), issue.values.map(String)),
        },
      ];
    case 'invalid_union': {
      const deepest = deepestBranch(issue);
      if (deepest) return deepest.flatMap((inner) => problemsOf(inner, where));
      return [
        { what: `${nameOf(issue.path)} ${issue.message}`, where: where(issue.path), remedy: seen(issue) },
      ];
    }
    case 'invalid_type':
      return [
        {
          what:
            issue.path.length === 0
              ? 'The file must hold keys and values'
              : `${nameOf(issue.path)} must be ${article(issue.expected)}`,
          where: where(issue.path),
          remedy: seen(issue),
        },
      ];
    default:
      return [
        { what: sentence(issue), where: where(issue.path), remedy: `See \`mcnet-conformance --help\`` },
      ];
  }
}

/** The alternative that the user most likely meant: the one that fits the furthest, or fails by content, not by type. */
function deepestBranch(issue: Extract<Issue, { code: 'invalid_union' }>): Issue[] | undefined {
  const branches = issue.errors.map((issues) =>
    issues.map((inner): Issue => ({ ...inner, path: [...issue.path, ...inner.path] })),
  );
  const fit = (branch: Issue[]): number =>
    Math.max(
      ...branch.map((inner) => {
        const depth = inner.path.length - issue.path.length;
        const byContent = inner.code !== 'invalid_type' && inner.code !== 'invalid_union';
        return depth + (byContent || (inner.code === 'invalid_union' && deepestBranch(inner)) ? 1 : 0);
      }),
    );
  const best = branches.toSorted((a, b) => fit(b) - fit(a))[0];
  return best !== undefined && fit(best) > 0 ? best : undefined;
}

/** Keys that an object at this path may have. */
function keysAt(path: Path): readonly string[] {
  if (path.length === 0) return CONFIGURATION_KEYS;
  if (path[0] === 'addressing') return ['pool', 'prefix', 'ipv6Pool'];
  if (path[0] === 'clusters') return ['name', 'segments', 'pods', 'services', 'nodes', 'context'];
  return [];
}

const nameOf = (path: Path): string =>
  path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '') || 'The file';

/** Messages of ours that name the value read as they are; others follow the name of the key. */
const sentence = (issue: Issue): string =>
  /^["A-Z]/.test(issue.message) ? issue.message : `${nameOf(issue.path)} ${issue.message}`;

const ARTICLES: Readonly<Record<string, string>> = {
  boolean: 'true or false',
  record: 'keys and values',
  object: 'keys and values',
  string: 'a text',
  number: 'a number',
  array: 'a list',
  int: 'a whole number',
};
const article = (type: string): string => ARTICLES[type] ?? type;

const seen = (issue: Issue): string => `It is ${show(issue.input)}`;

function show(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 80)}"`;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return 'a list';
  return value ? 'keys and values' : 'empty';
}

/** Values of the environment as the schema takes them. @throws UserError for a variable nobody knows */
function fromEnvironment(environment: Sources['environment']): Record<string, unknown> {
  const flags = new Map<string, Flag>(FLAGS.map((flag) => [environmentName(flag.key), flag]));
  const known = [...flags.keys(), environmentName(CONFIG_KEY)];
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('MCNET_') || OWN_MARKS.has(name)) continue;
    if (!known.includes(name)) {
      throw new UserError(`"${name}" is not a known variable`, {
        where: 'environment',
        remedy: suggest(name, known),
      });
    }
    const flag = flags.get(name);
    // As with NO_COLOR and its like, an empty variable counts as not set.
    if (flag && value) values[flag.key] = readVariable(flag, name, value);
  }
  return values;
}

function readVariable(flag: Flag, name: string, value: string): unknown {
  // Commas also stand inside the brackets of case ids.
  if (flag.repeatable) return value.split(/,(?![^[]*\])/).map((part) => part.trim());
  if (flag.value !== undefined) return value;
  if (['1', 'true', 'yes'].includes(value.toLowerCase())) return true;
  if (['0', 'false', 'no'].includes(value.toLowerCase())) return false;
  throw new UserError(`"${value}" is neither true nor false`, { where: name, remedy: 'Set it to 1 or 0' });
}
