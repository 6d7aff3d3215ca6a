/**
 * A backend: the HTTP service of a workload as a process of its own. Commands come as lines on standard input, each
 * answered by a line; it ends when that closes.
 */
import { lineSplitter } from '../lines.ts';
import { identityFrom, parseBackendArguments, required } from './arguments.ts';
import { BackendService } from './backend-service.ts';

const values = parseBackendArguments(process.argv.slice(2));
const service = new BackendService(identityFrom(values), () => process.exit(0));

function obey(command: string): void {
  if (command === 'fail') service.fail();
  else if (command === 'drain') service.drain();
  process.stdout.write(`${command}\n`);
}

const split = lineSplitter(1_024, obey);
process.stdin.on('data', (chunk: Buffer) => void split(chunk));
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));

try {
  await service.listen(Number(required(values, 'port')));
  process.stdout.write('ready\n');
} catch (error) {
  const words = error instanceof Error ? error.message : String(error);
  process.stdout.write(`${words}\n`, () => process.exit(1));
}
