import { generateKeyPairSync } from 'node:crypto';

/** Curve25519 keys (RFC 7748) as WireGuard writes them: 32 bytes in base64. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

export function generateKeyPair(): KeyPair {
  const jwk = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (value: string | undefined): string =>
    Buffer.from(value ?? '', 'base64url').toString('base64');
  return { privateKey: base64(jwk.d), publicKey: base64(jwk.x) };
}
