/** Cuts a stream of text into lines. @returns what takes each chunk; false once a line is longer than the limit */
export function lineSplitter(limit: number, onLine: (line: string) => void): (chunk: string) => boolean {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    return rest.length <= limit;
  };
}
