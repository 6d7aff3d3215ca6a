import type { TallyAnswer } from '../protocol.ts';

/** A numbered datagram: magic, flow, sequence number, time of sending in microseconds, then zeros. */
const MAGIC = Buffer.from('MCNB');
const FLOW_BYTES = 8;
const SEQUENCE_AT = MAGIC.length + FLOW_BYTES;
const SENT_AT = SEQUENCE_AT + 4;
export const SMALLEST_DATAGRAM = SENT_AT + 8;
/** Flows remembered, and sequence numbers within one. */
const MOST_FLOWS = 64;
export const MOST_DATAGRAMS = 1_000_000;

export interface Datagram {
  /** 16 hexadecimal digits. */
  readonly flow: string;
  readonly sequence: number;
  readonly sentUs: number;
}

export function encodeDatagram(datagram: Datagram, length: number): Buffer {
  const buffer = Buffer.alloc(Math.max(length, SMALLEST_DATAGRAM));
  MAGIC.copy(buffer);
  buffer.write(datagram.flow, MAGIC.length, FLOW_BYTES, 'hex');
  buffer.writeUInt32BE(datagram.sequence, SEQUENCE_AT);
  buffer.writeDoubleBE(datagram.sentUs, SENT_AT);
  return buffer;
}

/** @returns undefined when these bytes are no numbered datagram */
export function decodeDatagram(buffer: Buffer): Datagram | undefined {
  if (buffer.length < SMALLEST_DATAGRAM || !buffer.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const sequence = buffer.readUInt32BE(SEQUENCE_AT);
  if (sequence >= MOST_DATAGRAMS) return undefined;
  return {
    flow: buffer.toString('hex', MAGIC.length, SEQUENCE_AT),
    sequence,
    sentUs: buffer.readDoubleBE(SENT_AT),
  };
}

/** What arrived of one burst. */
class Flow {
  #received = 0;
  #duplicates = 0;
  #reordered = 0;
  #highest = -1;
  #jitterUs = 0;
  #lastTransitUs: number | undefined;
  #seen = new Uint8Array(1024);

  count({ sequence, sentUs }: Datagram, arrivedUs: number): void {
    if (!this.#mark(sequence)) {
      this.#duplicates++;
      return;
    }
    this.#received++;
    if (sequence < this.#highest) this.#reordered++;
    else this.#highest = sequence;
    // RFC 3550, section 6.4.1: J += (|D| − J) / 16. The clocks of the two ends differ by a constant, which cancels out.
    const transit = arrivedUs - sentUs;
    if (this.#lastTransitUs !== undefined) {
      this.#jitterUs += (Math.abs(transit - this.#lastTransitUs) - this.#jitterUs) / 16;
    }
    this.#lastTransitUs = transit;
  }

  /** @returns false when this number was there before */
  #mark(sequence: number): boolean {
    const index = sequence >> 3;
    const bit = 1 << (sequence & 7);
    if (index >= this.#seen.length) {
      const grown = new Uint8Array(Math.max(index + 1, this.#seen.length * 2));
      grown.set(this.#seen);
      this.#seen = grown;
    }
    const before = this.#seen[index] as number;
    this.#seen[index] = before | bit;
    return (before & bit) === 0;
  }

  tally(): Omit<TallyAnswer, 'tally' | 'known'> {
    return {
      received: this.#received,
      duplicates: this.#duplicates,
      reordered: this.#reordered,
      jitterMs: this.#jitterUs / 1_000,
    };
  }
}

/** The bursts that arrived lately. */
export class FlowTable {
  readonly #flows = new Map<string, Flow>();

  count(datagram: Datagram, arrivedUs: number): void {
    let flow = this.#flows.get(datagram.flow);
    if (!flow) {
      flow = new Flow();
      this.#flows.set(datagram.flow, flow);
      if (this.#flows.size > MOST_FLOWS) {
        const oldest = this.#flows.keys().next();
        if (!oldest.done) this.#flows.delete(oldest.value);
      }
    }
    flow.count(datagram, arrivedUs);
  }

  tally(flow: string): TallyAnswer {
    const known = this.#flows.get(flow);
    const nothing = { received: 0, duplicates: 0, reordered: 0, jitterMs: 0 };
    return { tally: flow, known: known !== undefined, ...(known?.tally() ?? nothing) };
  }
}
