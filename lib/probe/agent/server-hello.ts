/** The group of a key exchange, read off the wire: Node.js does not tell which one a handshake agreed on. */

/** IANA "TLS Supported Groups": those in use, and the hybrids with ML-KEM that withstand quantum computers. */
const GROUPS: Readonly<Record<number, string>> = {
  23: 'secp256r1',
  24: 'secp384r1',
  25: 'secp521r1',
  29: 'x25519',
  30: 'x448',
  4587: 'SecP256r1MLKEM768',
  4588: 'X25519MLKEM768',
  4589: 'SecP384r1MLKEM1024',
};

const HANDSHAKE = 22;
const SERVER_HELLO = 2;
const SERVER_KEY_EXCHANGE = 12;
const KEY_SHARE = 51;
const NAMED_CURVE = 3;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
/** What follows is encrypted, or no TLS. */
const MOST_BYTES = 64 * 1024;

/** Gathers the beginning of what a server sends. */
export class ServerHelloReader {
  #bytes = Buffer.alloc(0);

  add(chunk: Buffer): void {
    if (this.#bytes.length < MOST_BYTES) this.#bytes = Buffer.concat([this.#bytes, chunk]);
  }

  /** Undefined when the server chose none, or what it sent is no TLS. */
  get group(): string | undefined {
    let found: number | undefined;
    // A HelloRetryRequest names a group too; the ServerHello that follows has the last word.
    for (const { type, body } of messagesOf(clearHandshake(this.#bytes))) {
      const group =
        type === SERVER_HELLO
          ? groupOfHello(body)
          : type === SERVER_KEY_EXCHANGE
            ? groupOfExchange(body)
            : undefined;
      found = group ?? found;
    }
    return found === undefined ? undefined : (GROUPS[found] ?? `group ${found}`);
  }
}

/** The payload of the handshake records before anything else comes (RFC 8446, section 5.1). */
function clearHandshake(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + RECORD_HEADER <= bytes.length && bytes[at] === HANDSHAKE) {
    const end = at + RECORD_HEADER + bytes.readUInt16BE(at + 3);
    parts.push(bytes.subarray(at + RECORD_HEADER, end));
    at = end;
  }
  return Buffer.concat(parts);
}

/** RFC 8446, section 4. */
function* messagesOf(handshake: Buffer): Generator<{ type: number; body: Buffer }> {
  let at = 0;
  while (at + MESSAGE_HEADER <= handshake.length) {
    const end = at + MESSAGE_HEADER + handshake.readUIntBE(at + 1, 3);
    if (end > handshake.length) return;
    yield { type: handshake[at] as number, body: handshake.subarray(at + MESSAGE_HEADER, end) };
    at = end;
  }
}

/** The key share of a ServerHello (RFC 8446, sections 4.1.3 and 4.2.8). */
function groupOfHello(body: Buffer): number | undefined {
  const sessionId = 2 + 32;
  // Version, random, session id, cipher suite, compression, length of the extensions.
  let at = sessionId + 1 + (body[sessionId] ?? 0) + 2 + 1 + 2;
  while (at + 4 <= body.length) {
    const [kind, length] = [body.readUInt16BE(at), body.readUInt16BE(at + 2)];
    if (kind === KEY_SHARE && length >= 2 && at + 6 <= body.length) return body.readUInt16BE(at + 4);
    at += 4 + length;
  }
  return undefined;
}

/** TLS 1.2 with an ephemeral curve (RFC 8422, section 5.4). */
const groupOfExchange = (body: Buffer): number | undefined =>
  body.length >= 3 && body[0] === NAMED_CURVE ? body.readUInt16BE(1) : undefined;
