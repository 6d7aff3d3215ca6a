import { fileURLToPath } from 'node:url';

/** The folder of the bundles; the bundler puts shared modules into a folder of chunks below it. */
const BUNDLES = /^.*\/dist\//;

/**
 * File of a program that runs as a process of its own: `dist/<name>.js` when the asking module has been bundled, else
 * the source beside it.
 * @param module `import.meta.url` of the asking module
 * @param source relative to it
 */
export function entryFile(module: string, name: string, source: string): string {
  const bundles = module.endsWith('.ts') ? undefined : BUNDLES.exec(module)?.[0];
  return fileURLToPath(bundles ? new URL(`${name}.js`, bundles) : new URL(source, module));
}
