/** Bundles what is published: the command line, and the four programs that a run starts as processes of their own. */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.dirname(import.meta.dirname);
const out = path.join(root, 'dist');

const shared = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22.22',
  minify: true,
  legalComments: 'linked',
  logLevel: 'warning',
  // Some dependencies are CommonJS and call require() for node's own modules.
  banner: {
    js: "import { createRequire as mcnetCreateRequire } from 'node:module';const require = mcnetCreateRequire(import.meta.url);",
  },
} as const;

await rm(out, { recursive: true, force: true });
await build({
  ...shared,
  entryPoints: { cli: path.join(root, 'lib/cli/main.ts') },
  outdir: out,
  // Commands are imported when they are asked for: `--help` reads only the first chunk.
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
});
await Promise.all(
  Object.entries({
    agent: 'lib/probe/agent/main.ts',
    backend: 'lib/probe/agent/backend.ts',
    controller: 'lib/provider/lab/controller/main.ts',
    relay: 'lib/provider/lab/relay/main.ts',
  }).map(([name, entry]) =>
    build({ ...shared, entryPoints: { [name]: path.join(root, entry) }, outdir: out }),
  ),
);
