import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { checkHealth } from '../../../../lib/provider/lab/controller/health-check.ts';
import {
  type Health,
  nextHealth,
  worstCaseDetectionMs,
} from '../../../../lib/provider/lab/controller/health.ts';

const after = (start: Health, ...successes: boolean[]) => successes.reduce(nextHealth, start);
const unknown: Health = { state: 'unknown', failures: 0 };

void t.test('one success brings up, two failures in a row take down', async (test) => {
  test.equal(after(unknown, true).state, 'up');
  test.equal(after(unknown, false).state, 'down', 'what never answered is not up');
  test.equal(after(unknown, true, false).state, 'up');
  test.equal(after(unknown, true, false, true, false).state, 'up');
  test.equal(after(unknown, true, false, false).state, 'down');
  test.equal(after(unknown, true, false, false, true).state, 'up');
});

void t.test('the worst case is one period and two time-outs', async (test) => {
  test.equal(worstCaseDetectionMs(), 1000);
  test.equal(worstCaseDetectionMs(5000), 5000 + 1000 + 400);
});

void t.test('only a status 200 is healthy', async (test) => {
  const answering = async (answer: string | undefined) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      if (answer !== undefined) socket.end(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const result = await checkHealth('127.0.0.1', port, '/healthz', 100);
    server.close();
    return { result, port };
  };
  test.equal((await answering('HTTP/1.1 200 OK\r\n\r\n')).result, undefined);
  test.equal((await answering('HTTP/1.1 503 Busy\r\n\r\n')).result, 'HTTP status 503');
  test.equal((await answering('SSH-2.0-OpenSSH\r\n')).result, 'no HTTP answer');
  test.equal((await answering('')).result, 'closed without an answer');
  const { result, port } = await answering(undefined);
  test.equal(result, 'no answer in 100 ms');
  test.match(await checkHealth('127.0.0.1', port, '/healthz', 100), /ECONNREFUSED/);
});
