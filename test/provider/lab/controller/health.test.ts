import { type AddressInfo, type Socket, createServer } from 'node:net';
import t from 'tap';
import { HealthCheck } from '../../../../lib/provider/lab/controller/health-check.ts';
import {
  type Health,
  nextHealth,
  untilNextCheck,
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

/** A server of which each connection is answered in turn; the last answer also to all that follow. */
async function serving(answer: (socket: Socket, request: number) => void) {
  let connections = 0;
  let requests = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    connections++;
    open.add(socket);
    socket.on('error', () => undefined).on('data', () => answer(socket, ++requests));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    check: new HealthCheck('127.0.0.1', port, '/healthz'),
    connections: () => connections,
    dropAll: () => open.forEach((socket) => socket.destroy()),
    close: () => {
      server.close();
      open.forEach((socket) => socket.destroy());
    },
  };
}

void t.test('what has just failed is looked at soon, what has long been away less often', async (test) => {
  const next = (failures: number, periodMs: number) =>
    untilNextCheck({ state: failures > 1 ? 'down' : 'up', failures }, periodMs);
  test.strictSame([next(0, 200), next(1, 200), next(9, 200)], [200, 200, 200]);
  test.strictSame([next(0, 500), next(1, 500), next(9, 500)], [500, 500, 1_000]);
  test.strictSame([next(0, 5_000), next(1, 5_000), next(9, 5_000)], [5_000, 1_000, 2_000]);
});

void t.test('only a status 200 is healthy', async (test) => {
  const answering = async (answer: string | undefined) => {
    const server = await serving((socket) => {
      if (answer !== undefined) socket.end(answer);
    });
    const result = await server.check.run(100);
    server.close();
    return { result, check: server.check };
  };
  test.equal((await answering('HTTP/1.1 200 OK\r\n\r\n')).result, undefined);
  test.equal((await answering('HTTP/1.1 503 Busy\r\n\r\n')).result, 'HTTP status 503');
  test.equal((await answering('SSH-2.0-OpenSSH\r\n')).result, 'no HTTP answer');
  test.equal((await answering('')).result, 'closed without an answer');
  const { result, check } = await answering(undefined);
  test.equal(result, 'no answer in 100 ms');
  test.match(await check.run(100), /ECONNREFUSED/);
});

void t.test(
  'a connection is kept while both ends want it, and another one is tried when it has gone',
  async (test) => {
    const whole = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    const kept = await serving((socket) => {
      // In two parts, as a network may cut it.
      socket.write(whole.slice(0, 30));
      setTimeout(() => socket.write(whole.slice(30)), 10);
    });
    for (let round = 0; round < 3; round++) test.equal(await kept.check.run(1_000), undefined);
    test.equal(kept.connections(), 1);
    kept.dropAll();
    test.equal(await kept.check.run(1_000), undefined, 'no failure of a backend that is there');
    test.equal(kept.connections(), 2);
    kept.check.stop();
    kept.close();

    const closing = await serving((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
    });
    for (let round = 0; round < 2; round++) test.equal(await closing.check.run(1_000), undefined);
    test.equal(closing.connections(), 2);
    closing.close();

    const frozen = await serving((socket, request) => {
      if (request < 2) socket.write(whole);
    });
    test.equal(await frozen.check.run(1_000), undefined);
    test.equal(await frozen.check.run(100), 'no answer in 100 ms', 'one that falls silent has failed');
    test.equal(frozen.connections(), 1);
    frozen.close();
  },
);
