/**
 * Programs in one shell that stays, side by side. To start one in a container by itself costs the engine a tenth of a
 * second of processor time, in a shell that is there a few milliseconds.
 */
import { type Command, CommandError, type CommandStream, quoteCommand } from './commands.ts';

/** The shell, to be put after whatever leads into the container. It reads what it is to do from its standard input. */
export const SHELL_SESSION: Command = ['sh'];

/**
 * Lines of answers: `<id> out <base64>` and `<id> err <base64>`, as many as it takes, then `<id> <exit code>`. None is longer
 * than what a pipe takes in one piece (PIPE_BUF, 4096 bytes on Linux), so that no two can mix. Only a program that prints
 * something costs more than itself. Needs base64(1) and awk(1).
 */
const PRELUDE = `
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
tell() {
  [ -s "$folder/$1.$2" ] || return
  text=$(base64 -w0 "$folder/$1.$2")
  if [ \${#text} -le 4000 ]; then
    printf '%s %s %s\\n' "$1" "$2" "$text"
  else
    base64 -w4000 "$folder/$1.$2" | awk -v name="$1 $2" '{ print name, $0; fflush() }'
  fi
  : > "$folder/$1.$2"
}
answer() {
  tell "$1" out
  tell "$1" err
  printf '%s %s\\n' "$1" "$2"
}
`;

/** What the shell reads to run a program in the background; then it takes note of those that have ended. */
const request = (id: string, command: string, input: string): string => `{
( ${input === '' ? command : `printf %s ${quoteCommand([input])} | ${command}`} ) > "$folder/${id}.out" 2> "$folder/${id}.err"
answer ${id} $?
} < /dev/null &
jobs > /dev/null
`;

/** What a program has printed so far; resolves with its exit code. */
interface Waiting extends PromiseWithResolvers<number> {
  readonly printed: { readonly out: Buffer[]; readonly err: Buffer[] };
}

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
    const waiting: Waiting = { ...Promise.withResolvers(), printed: { out: [], err: [] } };
    const timer = setTimeout(
      () => waiting.reject(new CommandError(shown, { output: '', timedOut: true })),
      timeoutMs,
    );
    this.#waiting.set(id, waiting);
    try {
      const stream = this.#connect();
      stream.ref();
      stream.write(request(id, quoteCommand(command), input));
      const exitCode = await waiting.promise;
      const { out, err } = waiting.printed;
      if (exitCode === 0) return Buffer.concat(out);
      throw new CommandError(shown, { exitCode, output: Buffer.concat([...out, ...err]).toString() });
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
    stream.write(PRELUDE);
    return stream;
  }

  #take(line: string): void {
    const [id = '', what = '', text = ''] = line.split(' ');
    const waiting = this.#waiting.get(id);
    if (what === 'out' || what === 'err') waiting?.printed[what].push(Buffer.from(text, 'base64'));
    else waiting?.resolve(Number(what));
  }
}
