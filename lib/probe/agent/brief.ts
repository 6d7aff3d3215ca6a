/**
 * Programs that say little and end by themselves within moments, such as a ping. A shell that stays starts them: a fork
 * of the agent copies the tables of all its memory, which costs more than the program itself.
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { type Command, killCompanion, startCompanion } from './tools.ts';

/** What was printed, standard output and standard error together, in the order in which it was written. */
export interface BriefResult {
  readonly output: string;
  readonly exitCode: number;
}

/** In one write to the shell's pipe, so that answers do not mix (PIPE_BUF in pipe(7)). */
export const MOST_OUTPUT_BYTES = 4_000;

/** Exit code of a shell that found no such program. */
export const NOT_FOUND = 127;

/**
 * Reads `id command` and answers with `id exit-code output NUL`. `jobs` reaps those that have ended: nobody waits for them.
 */
const LOOP = `
while read -r id command; do
  jobs > /dev/null
  { output=$(eval "exec $command" 2>&1); printf '%s %s %s\\000' "$id" "$?" "$output"; } &
done`;

interface Waiting {
  readonly settle: (result: BriefResult) => void;
  readonly fail: (error: Error) => void;
}

class Shell {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #received = '';
  lost = false;

  constructor() {
    this.#child = startCompanion(['/bin/sh', '-c', LOOP], 'pipe');
    const lose = (): void => this.#lose();
    this.#child.once('exit', lose).once('error', lose);
    this.#child.stdin?.on('error', lose);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    // A program may hold its end of the pipe for long; only the wait for an answer keeps this process.
    (this.#child.stdout as Socket | null)?.unref();
    (this.#child.stdin as Socket | null)?.unref();
    this.#unrefWhenIdle();
  }

  async run(command: Command, timeoutMs: number, signal: AbortSignal): Promise<BriefResult | 'killed'> {
    const { promise, resolve, reject } = Promise.withResolvers<BriefResult | 'killed'>();
    const id = this.#next++;
    const onAbort = (): void => reject(signal.reason as Error);
    // It may hang for ever; the shell is ended with all that it started, and the next command starts another.
    const timer = setTimeout(() => {
      resolve('killed');
      this.#lose();
      void killCompanion(this.#child);
    }, timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(id, { settle: resolve, fail: reject });
    this.#child.ref();
    this.#child.stdin?.write(`${id} ${command.map(quoted).join(' ')}\n`);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#waiting.delete(id);
      this.#unrefWhenIdle();
    }
  }

  #take(text: string): void {
    const answers = (this.#received + text).split('\0');
    this.#received = answers.pop() ?? '';
    for (const answer of answers) {
      const [, id, exitCode, output] = /^(\d+) (\d+) ([^]*)$/.exec(answer) ?? [];
      this.#waiting.get(Number(id))?.settle({ output: output ?? '', exitCode: Number(exitCode) });
    }
  }

  #lose(): void {
    this.lost = true;
    for (const { fail } of this.#waiting.values()) fail(new Error('the shell that starts programs was lost'));
    this.#waiting.clear();
  }

  #unrefWhenIdle(): void {
    if (this.#waiting.size === 0) this.#child.unref();
  }
}

let shell: Shell | undefined;

/**
 * Runs a program that prints no more than `MOST_OUTPUT_BYTES`. When the caller no longer waits, the program still comes to
 * its end. @returns `killed` when it did not end in time @throws the signal's reason
 */
export async function runBriefly(
  command: Command,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<BriefResult | 'killed'> {
  if (command.some((word) => word.includes('\n')))
    throw new TypeError('a word of a brief command is one line');
  if (!shell || shell.lost) shell = new Shell();
  return shell.run(command, timeoutMs, signal);
}

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
