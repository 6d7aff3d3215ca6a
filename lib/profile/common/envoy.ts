/** What every Envoy says of itself, on its administration interface. */

/** Path of the counts that `handshakesIn` reads. */
export const HANDSHAKE_STATISTICS = 'stats?filter=ssl%5C.(versions|curves)';

/** A certificate in PEM, anywhere in a text. */
export const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g;

/** `TLSv1.3`, `X25519MLKEM768`: how many handshakes agreed on it. Pure. */
export function handshakesIn(stats: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of stats.split('\n')) {
    const [, what, count] = /^listener\..*\.ssl\.(?:versions|curves)\.(\S+): (\d+)$/.exec(line.trim()) ?? [];
    if (what !== undefined && count !== undefined && Number(count) > 0) {
      counts[what] = (counts[what] ?? 0) + Number(count);
    }
  }
  return counts;
}
