#!/usr/bin/env node
// Plain JavaScript that any Node reads: it decides whether this Node will do before anything newer is loaded.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const WANTED = '^22.22 || >=24.11';

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return (major === 22 && minor >= 22) || (major === 24 && minor >= 11) || major > 24;
}

/** In a checkout the dev dependency `node` brings a Node of its own. */
function runWith(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`mcnet-conformance: ${node} does not start: ${error.message}`);
    process.exit(2);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

if (isNewEnough(process.versions.node)) {
  module.enableCompileCache?.();
  const bundle = new URL('../../dist/cli.js', import.meta.url);
  const source = new URL('./main.ts', import.meta.url);
  import(existsSync(bundle) ? bundle.href : source.href)
    .then(({ main }) => main())
    .catch((error) => {
      // By default Node would end with 1, which here says that a case failed.
      console.error(error);
      process.exit(2);
    });
} else {
  const checkout = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));
  if (existsSync(checkout)) {
    runWith(checkout);
  } else {
    console.error(`mcnet-conformance needs Node ${WANTED}; this is ${process.versions.node}`);
    process.exit(2);
  }
}
