/** Content of the messages of a transfer: different at every place, so that a cut, a gap or a swap is noticed. */
const BLOCK = 256 * 1024;

const noise = (() => {
  let block: Buffer | undefined;
  return (): Buffer => {
    if (!block) {
      block = Buffer.allocUnsafe(BLOCK);
      let state = 1;
      for (let index = 0; index < BLOCK; index++) {
        // The constants are those of Numerical Recipes' linear congruential generator.
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        block[index] = state >>> 24;
      }
    }
    return block;
  };
})();

export function messageOf(index: number, length: number): Buffer {
  const message = Buffer.allocUnsafe(length);
  const block = noise();
  let filled = block.copy(message, 0, (index * 4099) % BLOCK);
  while (filled < length) filled += block.copy(message, filled);
  return message;
}

/** Gathers chunks until a message of known length is whole. */
export class MessageReader {
  #chunks: Buffer[] = [];
  #length = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  get buffered(): number {
    return this.#length;
  }

  /** @returns undefined until that many bytes are there */
  take(length: number): Buffer | undefined {
    if (this.#length < length) return undefined;
    const all = Buffer.concat(this.#chunks);
    const rest = all.subarray(length);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return all.subarray(0, length);
  }
}
