/**
 * Cuts a byte stream into lines. The returned function takes a chunk and gives false, once and for all, when a line
 * grows longer than `maxBytes`: the caller then drops the connection instead of filling the memory.
 */
export function lineSplitter(maxBytes: number, onLine: (line: string) => void): (chunk: Buffer) => boolean {
  let parts: Buffer[] = [];
  let length = 0;
  let broken = false;
  return (chunk) => {
    let rest = chunk;
    while (!broken) {
      const end = rest.indexOf(0x0a);
      const piece = end === -1 ? rest : rest.subarray(0, end);
      length += piece.length;
      if (length > maxBytes) {
        broken = true;
        parts = [];
        break;
      }
      parts.push(piece);
      if (end === -1) break;
      const line = Buffer.concat(parts).toString('utf8');
      parts = [];
      length = 0;
      onLine(line);
      rest = rest.subarray(end + 1);
    }
    return !broken;
  };
}
