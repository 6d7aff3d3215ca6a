/**
 * Programs in one shell that stays, side by side. To start one in a container by itself costs the engine a tenth of a
 * second of processor time, in a shell that is there a few milliseconds.
 */
import { type Command, CommandError, type CommandStream, quoteCommand } from './commands.ts';

/**
 * What the shell runs: three lines a request (id, input, command; the last two in base64), one line an answer (id, exit code,
 * what was printed to standard output and to standard error). Ends with its standard input. Needs base64(1) and flock(1).
 */
const SERVER = `
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
while IFS= read -r id && IFS= read -r input && IFS= read -r command; do
  (
    out=$folder/$id.out err=$folder/$id.err
    printf %s "$input" | base64 -d | sh -c "$(printf %s "$command" | base64 -d)" > "$out" 2> "$err"
    code=$?
    {
      flock 9
      printf '%s %s ' "$id" "$code"
      base64 -w0 "$out"
      printf ' '
      base64 -w0 "$err"
      echo
    } 9> "$folder/lock"
    rm -f "$out" "$err"
  ) < /dev/null &
  # Takes note of those that have ended.
  jobs > /dev/null
done
`;

/** What starts the shell, to be put after whatever leads into the container. */
export const SHELL_SESSION: Command = ['sh', '-c', SERVER];

interface Answer {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

type Waiting = PromiseWithResolvers<Answer>;

const base64 = (text: string): string => Buffer.from(text).toString('base64');

export class ShellSession {
  readonly #open: () => CommandStream;
  #stream: CommandStream | undefined;
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;

  /** @param open starts `SHELL_SESSION` where the programs are to run */
  constructor(open: () => CommandStream) {
    this.#open = open;
  }

  /**
   * Runs a program to its end. When the time is over nobody waits for it any more; it must end by itself.
   * @param shown the command to paste, for errors @returns what it printed @throws CommandError
   */
  async run(
    command: Command,
    { input = '', timeoutMs, shown = command }: { input?: string; timeoutMs: number; shown?: Command },
  ): Promise<Buffer> {
    const id = String(this.#count++);
    const waiting: Waiting = Promise.withResolvers();
    const timer = setTimeout(
      () => waiting.reject(new CommandError(shown, { output: '', timedOut: true })),
      timeoutMs,
    );
    this.#waiting.set(id, waiting);
    try {
      const stream = this.#connect();
      stream.ref();
      stream.write(`${id}\n${base64(input)}\n${base64(quoteCommand(command))}\n`);
      const { exitCode, stdout, stderr } = await waiting.promise;
      if (exitCode === 0) return stdout;
      throw new CommandError(shown, { exitCode, output: stdout.toString() + stderr.toString() });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#stream?.unref();
    }
  }

  #connect(): CommandStream {
    if (this.#stream) return this.#stream;
    const stream = this.#open();
    let unread: Buffer[] = [];
    const forget = (error?: unknown): void => {
      if (this.#stream !== stream) return;
      this.#stream = undefined;
      const reason = error ?? new Error('the shell that runs its programs has ended');
      for (const waiting of this.#waiting.values()) waiting.reject(reason);
    };
    stream.on('data', (chunk: Buffer) => {
      let rest = chunk;
      for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
        this.#take(Buffer.concat([...unread, rest.subarray(0, end)]).toString('latin1'));
        unread = [];
        rest = rest.subarray(end + 1);
      }
      if (rest.length > 0) unread.push(rest);
    });
    stream.on('error', forget).on('close', () => forget());
    this.#stream = stream;
    return stream;
  }

  #take(line: string): void {
    const [id = '', code, out = '', err = ''] = line.split(' ');
    this.#waiting.get(id)?.resolve({
      exitCode: Number(code),
      stdout: Buffer.from(out, 'base64'),
      stderr: Buffer.from(err, 'base64'),
    });
  }
}
