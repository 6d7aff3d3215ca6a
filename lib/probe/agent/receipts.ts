import type { Receipt } from '../../model/probe.ts';

/** The nonces that reached this workload, newest kept; the oldest are forgotten so that memory stays bounded. */
export class ReceiptLog {
  readonly #limit: number;
  readonly #receipts = new Map<string, Receipt>();

  constructor(limit = 20_000) {
    this.#limit = limit;
  }

  add(receipt: Receipt): void {
    if (this.#receipts.has(receipt.nonce)) return;
    this.#receipts.set(receipt.nonce, receipt);
    if (this.#receipts.size <= this.#limit) return;
    const oldest = this.#receipts.keys().next();
    if (!oldest.done) this.#receipts.delete(oldest.value);
  }

  find(nonces: readonly string[]): Receipt[] {
    return nonces.map((nonce) => this.#receipts.get(nonce)).filter((receipt) => receipt !== undefined);
  }
}
