/** The module around a program that is built from published modules: pure text. */

export interface GoModule {
  readonly name: string;
  /** Language version, without "v" or "go". */
  readonly go: string;
  /** Default of the runtime's compatibility settings, such as `go1.24`. */
  readonly godebug?: string;
  readonly require: Readonly<Record<string, string>>;
  /** Right-hand sides as they stand in a go.mod: `path version`, or `./folder`. */
  readonly replace?: Readonly<Record<string, string>>;
}

export function goModOf({ name, go, godebug, require, replace = {} }: GoModule): string {
  const lines = [`module mcnet-conformance.local/${name}`, '', `go ${go}`];
  if (godebug) lines.push('', `godebug default=${godebug}`);
  lines.push('', ...block('require', require, ' '));
  if (Object.keys(replace).length > 0) lines.push('', ...block('replace', replace, ' => '));
  return `${lines.join('\n')}\n`;
}

function block(keyword: string, entries: Readonly<Record<string, string>>, between: string): string[] {
  const sorted = Object.entries(entries).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [`${keyword} (`, ...sorted.map(([left, right]) => `\t${left}${between}${right}`), ')'];
}

/**
 * Kubernetes keeps its libraries beside itself and publishes them as modules of their own; its go.mod points at the
 * folders, which no published module has. @returns a replacement for each of those that it requires
 * @throws Error when the text names none: then this is not the go.mod that was meant
 */
export function stagingReplacements(goMod: string, version: string): Record<string, string> {
  const required = new Set(
    [...goMod.matchAll(/^\s*(k8s\.io\/\S+) v0\.0\.0(?:\s|$)/gm)].map(([, name]) => name),
  );
  const replacements = [...goMod.matchAll(/^\s*(?:replace )?(k8s\.io\/\S+) => \.\/staging\//gm)]
    .map(([, name]) => name as string)
    .filter((name) => required.has(name));
  if (replacements.length === 0) throw new Error('the go.mod of Kubernetes names no staging module');
  return Object.fromEntries(replacements.map((name) => [name, `${name} ${version}`]));
}
