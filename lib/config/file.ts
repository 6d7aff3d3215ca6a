/** Reads mcnet.yaml without trusting it, and remembers where everything stands. */
import {
  type Document,
  LineCounter,
  type Node,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
} from 'yaml';
import { UserError, messageOf } from '../model/errors.ts';

/** A fleet of a hundred clusters with every range written out takes 30 kB. */
export const MAXIMUM_FILE_BYTES = 256 * 1024;
/** Our own deepest key is four levels down. */
const MAXIMUM_DEPTH = 16;

export type Path = readonly PropertyKey[];

export interface ConfigurationFile {
  readonly values: unknown;
  /** `file:line:column` of the value at a path, or of the key when `key` names one there. */
  locate(path: Path, key?: string): string;
}

/** @throws UserError with file, line and column for anything that is not one plain YAML 1.2 document */
export function parseConfigurationFile(bytes: Uint8Array, file: string): ConfigurationFile {
  if (bytes.length > MAXIMUM_FILE_BYTES) throw tooLarge(file);
  const text = decode(bytes, file);
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const refuse = (what: string, offset: number, remedy: string): never => {
    throw new UserError(what, { where: at(offset), remedy });
  };
  const document = parseDocument(text, {
    lineCounter: lines,
    // Both cost quadratic time on a hostile file; duplicates are looked for below.
    prettyErrors: false,
    uniqueKeys: false,
  });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) refuse(firstLine(problem.message), problem.pos[0], 'Mend the YAML there');
  assertPlain(document.contents, refuse);
  return {
    values: plainValues(document, file),
    locate: (path, key) => at(offsetOf(document, path, key)),
  };
}

export function tooLarge(file: string): UserError {
  return new UserError(`The file is larger than ${MAXIMUM_FILE_BYTES / 1024} KiB`, {
    where: file,
    remedy: 'Is it the right file? A configuration of a hundred clusters takes 30 kB',
  });
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError('The file is not UTF-8 text', {
      where: `${file}:${firstBadLine(bytes)}:1`,
      remedy: 'Save it as UTF-8',
    });
  }
}

/** The first line that does not decode by itself; no byte of a multi-byte character is a line feed. */
function firstBadLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    const next = end === -1 ? bytes.length : end + 1;
    try {
      decoder.decode(bytes.subarray(start, next));
    } catch {
      return line;
    }
    start = next;
  }
  return line;
}

type Refuse = (what: string, offset: number, remedy: string) => never;

/** Duplicate keys, keys that are not text, and nesting without end. */
function assertPlain(node: unknown, refuse: Refuse, depth = 0): void {
  if (!isCollection(node)) return;
  if (depth > MAXIMUM_DEPTH) {
    refuse(`More than ${MAXIMUM_DEPTH} levels of nesting`, startOf(node), 'No key of ours is that deep');
  }
  const seen = new Set<string>();
  for (const item of node.items) {
    if (!isMap(node)) {
      assertPlain(item, refuse, depth + 1);
      continue;
    }
    const { key, value } = item as (typeof node.items)[number];
    if (!isScalar(key)) return refuse('A key must be plain text', startOf(key), 'Write `key: value`');
    const name = String(key.value);
    if (seen.has(name)) {
      refuse(`"${name}" stands here a second time`, startOf(key), 'Keep one of the two');
    }
    seen.add(name);
    assertPlain(value, refuse, depth + 1);
  }
}

function plainValues(document: Document.Parsed, file: string): unknown {
  try {
    // Fails on aliases that multiply ("billion laughs") and on aliases of nothing.
    return document.toJS();
  } catch (error) {
    throw new UserError(`The aliases cannot be resolved: ${messageOf(error)}`, {
      where: file,
      remedy: 'Write the values out instead of using & and *',
    });
  }
}

/** Offset of the deepest node on the path that exists. */
function offsetOf(document: Document.Parsed, path: Path, key: string | undefined): number {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const step of path) {
    const child = childOf(resolve(document, node), step);
    if (child === undefined) return offset;
    node = child.value ?? child.key;
    offset = startOf(node);
  }
  const named = key === undefined ? undefined : childOf(resolve(document, node), key);
  return named?.key === undefined ? offset : startOf(named.key);
}

const resolve = (document: Document.Parsed, node: unknown): unknown =>
  isAlias(node) ? node.resolve(document) : node;

function childOf(node: unknown, step: PropertyKey): { key?: unknown; value: unknown } | undefined {
  if (isMap(node)) {
    return node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
  }
  if (isSeq(node) && typeof step === 'number' && step < node.items.length) return { value: node.items[step] };
  return undefined;
}

const startOf = (node: unknown): number => (node as Node | null)?.range?.[0] ?? 0;

const firstLine = (text: string): string => text.split('\n', 1)[0] as string;
