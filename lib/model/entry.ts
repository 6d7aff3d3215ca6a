import { fileURLToPath } from 'node:url';

/** The folder of the bundles; the bundler puts shared modules into a folder of chunks below it. */
const BUNDLES = /^.*\/dist\//;

/**
 * File of a program that runs as a process of its own: `<name>.js` among the bundles when the asking module has been
 * bundled, else the source beside it. An image holds some of the bundles, in a folder of another name.
 * @param module `import.meta.url` of the asking module
 * @param source relative to it
 */
export function entryFile(module: string, name: string, source: string): string {
  if (module.endsWith('.ts')) return fileURLToPath(new URL(source, module));
  return fileURLToPath(new URL(`${name}.js`, BUNDLES.exec(module)?.[0] ?? module));
}
