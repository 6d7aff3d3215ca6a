/** What a result was made from, as one hash. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';

/** Named so that nothing can pass for something else; a value is text, or a file or folder with all that is in it. */
export type Inputs = Readonly<Record<string, string | { readonly path: string }>>;

/** Hexadecimal, the same on every machine: neither times nor absolute paths are in it. */
export function hashOf(inputs: Inputs, needed: Readonly<Record<string, string>> = {}): string {
  const hash = createHash('sha256');
  const add = (...parts: readonly (string | Buffer)[]): void => {
    // With lengths, so that no two lists of parts give the same bytes.
    for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  };
  for (const [name, value] of sorted(inputs)) {
    if (typeof value === 'string') add('text', name, value);
    else
      for (const file of filesUnder(value.path))
        add('file', name, file.name, file.mode, readFileSync(file.path));
  }
  for (const [name, value] of sorted(needed)) add('needed', name, value);
  return hash.digest('hex').slice(0, 32);
}

function sorted<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function filesUnder(root: string): { name: string; path: string; mode: string }[] {
  const { mode } = statSync(root);
  if (!statSync(root).isDirectory()) return [{ name: '', path: root, mode: executable(mode) }];
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return { name: path.relative(root, file), path: file, mode: executable(statSync(file).mode) };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The one bit of the mode that a checkout keeps. */
const executable = (mode: number): string => ((mode & 0o100) === 0 ? 'plain' : 'executable');
