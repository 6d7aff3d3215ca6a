/** Keeps secrets out of everything that is written. */

const REMOVED = '[redacted]';
/** A shorter value would also hit ordinary words. */
const SHORTEST_SECRET = 6;

const PATTERNS: readonly { readonly pattern: RegExp; readonly replacement: string }[] = [
  {
    pattern: /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?(?:-----END \1PRIVATE KEY-----|$)/g,
    replacement: REMOVED,
  },
  // wg(8): PrivateKey, PresharedKey; `wg show dump` and `wg setconf` alike.
  {
    pattern: /\b(private|preshared)([ _-]?key\s*[:=]?\s*)[A-Za-z0-9+/]{43}=/gi,
    replacement: `$1$2${REMOVED}`,
  },
  // JSON Web Token (RFC 7519): three base64url parts, the first an object.
  { pattern: /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/g, replacement: REMOVED },
  { pattern: /\b(Bearer\s+)[\w.~+/-]{8,}=*/gi, replacement: `$1${REMOVED}` },
  { pattern: /\b((?:password|passwd|secret|token)\s*[:=]\s*)[^\s"',;]{6,}/gi, replacement: `$1${REMOVED}` },
];

/** Every pattern needs one of these: most strings are told apart by one look. */
const SUSPECT = /private|preshared|eyJ|bearer|passw|secret|token/i;

export class Redactor {
  readonly #secrets = new Set<string>();

  /** From now on this value appears nowhere. */
  register(secret: string): void {
    if (secret.length >= SHORTEST_SECRET) this.#secrets.add(secret);
  }

  text(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) clean = clean.replaceAll(secret, REMOVED);
    if (!SUSPECT.test(clean)) return clean;
    for (const { pattern, replacement } of PATTERNS) clean = clean.replace(pattern, replacement);
    return clean;
  }

  /** JSON of a value, every string in it without secrets. */
  json(value: unknown): string {
    const text = JSON.stringify(value);
    // One look at the whole instead of one at each string: most values hold nothing that could be a secret.
    return this.#isSuspect(text)
      ? JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? this.text(part) : part))
      : text;
  }

  /** Whether a string in this JSON may need a change. */
  #isSuspect(text: string): boolean {
    if (SUSPECT.test(text)) return true;
    for (const secret of this.#secrets) {
      if (text.includes(JSON.stringify(secret).slice(1, -1))) return true;
    }
    return false;
  }

  /** A value as a record holds it: plain JSON without secrets. */
  plain(value: unknown): unknown {
    return value === undefined ? null : (JSON.parse(this.json(value)) as unknown);
  }
}
