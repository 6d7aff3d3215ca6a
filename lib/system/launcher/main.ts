/**
 * Starts programs for another process. A fork copies the page tables of its process, so what a run of two hundred
 * megabytes pays for each command, this one of a few pays a tenth of. Ends with the process that it serves.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { LaunchReply, LaunchRequest, LaunchedCommand, LaunchedDaemon } from './protocol.ts';

/** Of standard output and of standard error. */
const LARGEST_OUTPUT_BYTES = 64 * 1024 * 1024;

const underWay = new Map<number, AbortController>();

function reply(message: LaunchReply): void {
  process.send?.(message);
}

function run({ id, command: [file, ...args], input, timeoutMs, environment, cwd }: LaunchedCommand): void {
  const cancelling = new AbortController();
  underWay.set(id, cancelling);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    cancelling.abort();
  }, timeoutMs);
  const child = execFile(
    file,
    args,
    {
      maxBuffer: LARGEST_OUTPUT_BYTES,
      signal: cancelling.signal,
      killSignal: 'SIGKILL',
      env: { ...process.env, ...environment },
      ...(cwd !== undefined && { cwd }),
    },
    (error, stdout, stderr) => {
      clearTimeout(timer);
      underWay.delete(id);
      const notFound = error?.code === ('ENOENT' as unknown);
      // Whatever ended it otherwise (a signal, too much output) has no exit code.
      const exitCode = error ? (typeof error.code === 'number' ? error.code : undefined) : 0;
      reply({ id, stdout, stderr, timedOut, notFound, ...(exitCode !== undefined && { exitCode }) });
    },
  );
  // Who does not read its input is no failure.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
}

function startDaemon({ id, command: [file, ...args], environment, cwd, logPath }: LaunchedDaemon): void {
  const fail = (error: NodeJS.ErrnoException): void =>
    reply({ id, error: error.message, notFound: error.code === 'ENOENT' });
  try {
    const log = openSync(logPath, 'a', 0o600);
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
      ...(cwd !== undefined && { cwd }),
    });
    closeSync(log);
    child.once('error', fail);
    child.once('spawn', () => {
      child.unref();
      reply({ id, pid: child.pid as number });
    });
  } catch (error) {
    fail(error as NodeJS.ErrnoException);
  }
}

process.on('message', (request: LaunchRequest) => {
  if (request.kind === 'run') run(request);
  else if (request.kind === 'daemon') startDaemon(request);
  else underWay.get(request.id)?.abort();
});
process.on('disconnect', () => {
  for (const cancelling of underWay.values()) cancelling.abort();
  process.exit(0);
});
