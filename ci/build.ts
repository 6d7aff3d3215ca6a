/** Bundles what is published: the command line, and the programs that a run starts as processes of their own. */
import { readFileSync, readdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.dirname(import.meta.dirname);
const out = path.join(root, 'dist');
/** Built beside and then swapped in: a run that started from the bundle before keeps its files until then. */
const fresh = `${out}.new`;

const shared = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.22',
  minify: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  outdir: fresh,
  // Some dependencies are CommonJS and call require() for node's own modules.
  banner: {
    js: "import { createRequire as mcnetCreateRequire } from 'node:module';const require = mcnetCreateRequire(import.meta.url);",
  },
} as const;

await rm(fresh, { recursive: true, force: true });
const entries = {
  agent: 'lib/probe/agent/main.ts',
  backend: 'lib/probe/agent/backend.ts',
  controller: 'lib/provider/lab/controller/main.ts',
  launcher: 'lib/system/launcher/main.ts',
  relay: 'lib/provider/relay/main.ts',
};
const built = await Promise.all([
  // Commands are imported when they are asked for: `--help` reads only the first chunk.
  build({
    ...shared,
    entryPoints: { cli: path.join(root, 'lib/cli/main.ts') },
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
  }),
  ...Object.entries(entries).map(([name, entry]) =>
    build({ ...shared, entryPoints: { [name]: path.join(root, entry) } }),
  ),
]);
const inputs = built.flatMap(({ metafile }) => Object.keys(metafile.inputs));
await writeFile(path.join(fresh, 'THIRD_PARTY_LICENSES.txt'), licensesOf(inputs));
await rm(out, { recursive: true, force: true });
await rename(fresh, out);

/** Name, version and licence text of every package that went into the bundles, as their licences ask for. */
function licensesOf(files: readonly string[]): string {
  const folders = new Set(
    files.flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  );
  return [...folders]
    .toSorted()
    .map((folder) => {
      const { name, version, license } = JSON.parse(
        readFileSync(path.join(folder, 'package.json'), 'utf8'),
      ) as {
        name: string;
        version: string;
        license?: string;
      };
      const text = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
      const body = text
        ? readFileSync(path.join(folder, text), 'utf8').trim()
        : `Licence: ${license ?? 'not stated'}`;
      return `${name} ${version} (${license ?? 'see below'})\n\n${body}\n`;
    })
    .join('\n----------------------------------------\n\n');
}
