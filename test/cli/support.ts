import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';

export const BIN = path.resolve(import.meta.dirname, '../../lib/cli/bin.js');

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder of its own, which goes when the test ends. */
export function emptyFolder(t: Test): string {
  // Not tap's own: paths with the name of the test in them would match what is looked for in messages.
  const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-cli-'));
  t.teardown(async () => {
    const { rm } = await import('node:fs/promises');
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

/** The command line as a process, in an empty home. */
export function cli(
  folder: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; node?: readonly string[]; bin?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...(options.node ?? []), options.bin ?? BIN, ...args], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      XDG_STATE_HOME: path.join(folder, '.state'),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}
