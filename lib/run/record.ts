/** The record of a run: appended line by line, each with the hash of the line before, and read again. */
import { createHash } from 'node:crypto';
import { messageOf } from '../model/errors.ts';
import { RECORD_VERSION, type RecordBody, type RecordEvent } from '../model/record.ts';
import type { Clock } from '../system/clock.ts';
import type { AppendableFile } from '../system/storage.ts';
import type { Redactor } from './redact.ts';

type Opening = Extract<RecordBody, { type: 'run.start' | 'plan' }>;

const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex');
/** What the first line carries as hash of the line before. */
const HASH_OF_NOTHING = hashOf('');

interface Timed {
  readonly at: string;
  readonly monoMs: number;
  readonly body: RecordBody;
}

export interface RecordWriterOptions {
  readonly run: string;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly open: () => Promise<AppendableFile>;
}

/**
 * Writes in the order of the calls. The subject holds versions as observed, which are known only when the set-up is
 * through: what happens before `begin` is held back and follows `run.start` with its own time. A failed write is
 * remembered and ends the writing, never the run.
 */
export class RecordWriter {
  readonly #options: RecordWriterOptions;
  readonly #startedAt: number;
  readonly #startedMono: number;
  #held: Timed[] | undefined = [];
  #pending: string[] = [];
  #seq = 0;
  #prev = HASH_OF_NOTHING;
  #file: AppendableFile | undefined;
  #flushing: Promise<void> | undefined;
  #failure: string | undefined;
  #closed = false;

  constructor(options: RecordWriterOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#startedMono = options.clock.monotonic();
  }

  /** RFC 3339. */
  get startedAt(): string {
    return new Date(this.#startedAt).toISOString();
  }

  /** Milliseconds since the run began. */
  elapsed(): number {
    return Math.round((this.#options.clock.monotonic() - this.#startedMono) * 1000) / 1000;
  }

  /** As it writes it. */
  withoutSecrets(text: string): string {
    return this.#options.redactor.text(text);
  }

  /** Why the record is incomplete; undefined while it is not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get begun(): boolean {
    return this.#held === undefined;
  }

  /** Puts the subject and the plan first, then what was held back. */
  begin(opening: readonly Opening[]): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const body of opening) this.#append({ at: this.startedAt, monoMs: 0, body });
    for (const event of held) this.#append(event);
  }

  /** @returns when, in milliseconds since the run began */
  write(body: RecordBody): number {
    const monoMs = this.elapsed();
    const event = { at: new Date(this.#startedAt + monoMs).toISOString(), monoMs, body };
    if (this.#held) this.#held.push(event);
    else this.#append(event);
    return monoMs;
  }

  #append({ at, monoMs, body }: Timed): void {
    if (this.#failure !== undefined || this.#closed) return;
    const { type, ...rest } = body;
    const { run, redactor } = this.#options;
    const line = redactor.json({
      v: RECORD_VERSION,
      seq: this.#seq,
      type,
      at,
      monoMs,
      run,
      prev: this.#prev,
      ...rest,
    });
    this.#seq++;
    this.#prev = hashOf(line);
    this.#pending.push(`${line}\n`);
    this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    try {
      this.#file ??= await this.#options.open();
      while (this.#pending.length > 0) {
        const text = this.#pending.join('');
        this.#pending = [];
        await this.#file.append(text);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#flushing = undefined;
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= messageOf(error);
    this.#pending = [];
  }

  /** Everything written is on the disk afterwards, or `failure` says why not; what comes later is dropped. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
    try {
      await this.#file?.close();
    } catch (error) {
      this.#fail(error);
    }
  }
}

/** The events of one run as they were stored. */
export interface StoredRecord {
  readonly events: readonly RecordEvent[];
  /** What is wrong with it, with line numbers. */
  readonly problems: readonly string[];
  /** Somebody changed it, or lines are missing: it proves nothing. */
  readonly broken: boolean;
}

/**
 * Reads the lines of one or several records one after the other; each `run.start` begins a new one.
 * A last line that was cut off (the run was killed while writing) is left out and named.
 */
export function readRecords(lines: Iterable<string>): StoredRecord[] {
  const records: { events: RecordEvent[]; problems: string[]; broken: boolean }[] = [];
  let prev = HASH_OF_NOTHING;
  let unreadable: number | undefined;
  let number = 0;
  const noteCutOff = (): void => {
    if (unreadable === undefined) return;
    records
      .at(-1)
      ?.problems.push(`line ${unreadable}, the last, is cut off: the run was killed while writing`);
    unreadable = undefined;
  };
  for (const line of lines) {
    number++;
    if (line === '') continue;
    const event = parseEvent(line);
    if (event?.type === 'run.start' || records.length === 0) {
      noteCutOff();
      records.push({ events: [], problems: [], broken: false });
      prev = HASH_OF_NOTHING;
    }
    const record = records.at(-1)!;
    if (unreadable !== undefined) {
      record.problems.push(`line ${unreadable} is not JSON of a record`);
      record.broken = true;
    }
    unreadable = event ? undefined : number;
    if (event) {
      if (event.prev !== prev) {
        record.problems.push(`line ${number} does not follow from the line before: the record was changed`);
        record.broken = true;
      }
      record.events.push(event);
    }
    prev = hashOf(line);
  }
  noteCutOff();
  return records;
}

function parseEvent(line: string): RecordEvent | undefined {
  try {
    const value = JSON.parse(line) as RecordEvent | null;
    return typeof value === 'object' && typeof value?.type === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
