/** The keys of the user's configuration that name what was built; everything else in the file stays as it is. */
import { type Document, isMap, parseDocument } from 'yaml';
import { UserError } from './problems.ts';

export interface Built {
  /** Image names by their key under `images:`. */
  readonly images: Readonly<Record<string, string>>;
  /** Absolute paths by their key under `tools:`. */
  readonly tools: Readonly<Record<string, string>>;
  /** Absolute paths by their key under `charts:`. */
  readonly charts: Readonly<Record<string, string>>;
}

const HEADER =
  ' Configuration of mcnet-conformance for this user: the lowest layer, under every mcnet.yaml and flag.';

/**
 * @param text what the file holds, empty when there is none
 * @returns the text with the entries added or replaced; comments, order and other keys stay
 * @throws UserError when the text is no YAML mapping
 */
export function withBuilt(text: string, built: Built, file: string): string {
  const document: Document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new UserError(`${file} cannot be read: ${error.message}`, 'mend the file, or remove it');
  if (document.contents === null) {
    document.contents = document.createNode({});
    document.commentBefore ??= HEADER;
  }
  if (!isMap(document.contents)) {
    throw new UserError(`${file} holds no keys and values`, 'mend the file, or remove it');
  }
  for (const [key, entries] of Object.entries(built)) {
    if (Object.keys(entries).length === 0) continue;
    if (!isMap(document.get(key))) document.set(key, document.createNode({}));
    for (const [name, value] of Object.entries(entries)) document.setIn([key, name], value);
  }
  return document.toString();
}

/** The text without those entries that still have the builder's values. */
export function withoutBuilt(text: string, built: Built): string {
  const document: Document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) return text;
  for (const [key, entries] of Object.entries(built)) {
    for (const [name, value] of Object.entries(entries)) {
      if (document.getIn([key, name]) === value) document.deleteIn([key, name]);
    }
    const rest = document.get(key);
    if (isMap(rest) && rest.items.length === 0) document.delete(key);
  }
  return document.contents.items.length === 0 && !document.commentBefore?.replace(HEADER, '')
    ? ''
    : document.toString();
}
