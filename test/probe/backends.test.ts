import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { PORTS } from '../../lib/model/workload.ts';
import { takeBack } from '../fixtures/takeBack.ts';
import { ADDRESSES, NEEDS_ROOT, Network } from './fixtures/network.ts';

t.test('backends and those who sample them', { skip: NEEDS_ROOT }, async (t) => {
  const network = new Network();
  takeBack(t, () => network.remove());
  const [{ probe }, server] = await Promise.all([network.startAgent('client'), network.startAgent('server')]);

  await t.test('sampling goes on at its rate whatever a backend does', async (t) => {
    const port = PORTS.backends;
    await server.probe.startBackend({ port });
    await server.probe.startBackend({ port });
    const kinds = ['new', 'keep-alive', 'stream'] as const;
    const start = (durationMs: number): Promise<string[]> =>
      Promise.all(
        kinds.map((connections) =>
          probe.startSampling({
            address: ADDRESSES.ipv4.server,
            port,
            ratePerSecond: 40,
            connections,
            timeoutMs: 300,
            durationMs,
          }),
        ),
      );

    const calm = await start(400);
    await wait(450);
    for (const id of calm) {
      const { samples } = await probe.stopSampling(id);
      t.equal(samples.length, 16, 'it ends by itself');
      t.ok(samples.every(({ outcome, workload }) => outcome === 'answered' && workload === 'server'));
    }

    const frozen = await start(60_000);
    await wait(200);
    await server.probe.disturbBackend(port, 'freeze');
    await wait(500);
    await server.probe.disturbBackend(port, 'thaw');
    await wait(600);
    for (const [index, id] of frozen.entries()) {
      const { samples } = await probe.stopSampling(id);
      const outcomes = new Set(samples.map(({ outcome }) => outcome));
      t.ok(outcomes.has('timed-out'), `${kinds[index]} notices`);
      t.equal(samples.at(-1)?.outcome, 'answered', `${kinds[index]} recovers`);
      const gaps = samples.slice(1).map(({ at }, index) => at - (samples[index]?.at ?? 0));
      t.ok(
        gaps.every((gap) => Math.abs(gap - 25) < 0.1),
        'the schedule does not wait for answers',
      );
      t.ok(samples.every(({ latencyMs }) => latencyMs < 2_000));
    }

    const crashed = await start(60_000);
    await wait(200);
    await server.probe.disturbBackend(port, 'crash');
    await wait(300);
    await server.probe.startBackend({ port });
    await wait(300);
    await server.probe.disturbBackend(port, 'fail');
    await wait(200);
    for (const [index, id] of crashed.entries()) {
      const { samples } = await probe.stopSampling(id);
      const outcomes = new Set(samples.map(({ outcome }) => outcome));
      t.ok(outcomes.has('refused'), `${kinds[index]}: nobody listens`);
      t.not(samples.at(-1)?.outcome, 'answered');
      if (kinds[index] !== 'stream') t.equal(samples.at(-1)?.outcome, 'server-error');
    }
    await t.rejects(probe.stopSampling('gone'), { name: 'ProbeError', message: /no sampling/ });
  });

  await t.test('a client keeps as many connections alive as it is told', async (t) => {
    const port = PORTS.backends;
    const address = ADDRESSES.ipv4.server;
    await server.probe.startBackend({ port, inAgent: true });
    const id = await probe.startSampling({
      ...{ address, port, ratePerSecond: 100, connections: 'keep-alive', pool: 12 },
      ...{ timeoutMs: 500, durationMs: 60_000 },
    });
    await wait(500);
    const open = network
      .run('server', `ss -Htn state established sport = :${port}`)
      .trim()
      .split('\n').length;
    const { samples } = await probe.stopSampling(id);
    t.ok(open >= 12, `${open} connections`);
    t.ok(samples.every(({ outcome }) => outcome === 'answered'));
    await server.probe.stopBackend(port);
  });

  for (const inAgent of [false, true])
    await t.test(
      `a backend ${inAgent ? 'inside the agent' : 'of its own'} drains without losing requests, then ends`,
      async (t) => {
        const port = PORTS.backends;
        await server.probe.startBackend({ port, inAgent });
        const address = ADDRESSES.ipv4.server;
        const id = await probe.startSampling({
          ...{ address, port, ratePerSecond: 50, connections: 'keep-alive' },
          ...{ timeoutMs: 500, durationMs: 400 },
        });
        await wait(100);
        await server.probe.disturbBackend(port, 'drain');
        await wait(400);
        const { samples } = await probe.stopSampling(id);
        t.ok(samples.every(({ outcome }) => outcome === 'answered'));
        await wait(1_400);
        const [after] = await probe.exchange([{ protocol: 'http', address, port }]);
        t.equal(after?.outcome, 'refused');
        await t.rejects(server.probe.disturbBackend(port, 'crash'), {
          name: 'ProbeError',
          message: /no backend/,
        });
        await server.probe.stopBackend(port);
      },
    );

  await t.test('a backend inside the agent fails and stops, but cannot crash', async (t) => {
    const port = PORTS.backends;
    const address = ADDRESSES.ipv4.server;
    const ask = async () => (await probe.exchange([{ protocol: 'http', address, port }]))[0];
    await server.probe.startBackend({ port, inAgent: true });
    const first = await ask();
    t.match(first, { outcome: 'answered', answeredBy: { workload: 'server' } });
    await server.probe.startBackend({ port, inAgent: true });
    t.equal(
      (await ask())?.answeredBy?.instance,
      first?.answeredBy?.instance,
      'one that runs is left as it is',
    );
    for (const event of ['crash', 'freeze', 'thaw'] as const) {
      await t.rejects(server.probe.disturbBackend(port, event), { name: 'ProbeError', message: /process/ });
    }
    await server.probe.disturbBackend(port, 'fail');
    t.equal((await ask())?.status, 503);
    await server.probe.stopBackend(port);
    t.equal((await ask())?.outcome, 'refused');
    await server.probe.startBackend({ port });
    t.not((await ask())?.answeredBy?.instance, first?.answeredBy?.instance);
    await server.probe.stopBackend(port);
  });

  await t.test('an agent that is killed takes its backends along and fails its calls', async (t) => {
    const port = PORTS.backends + 1;
    await server.probe.startBackend({ port });
    await server.probe.disturbBackend(port, 'freeze');
    const call = server.probe.ping({ address: ADDRESSES.ipv4.nobody, count: 5, timeoutMs: 5_000 });
    const { pid } = await server.probe.facts();
    process.kill(pid, 'SIGKILL');
    await t.rejects(call, { name: 'ProbeError' });
    await t.rejects(server.probe.facts(), { name: 'ProbeError' });
    let last: string | undefined;
    for (let attempt = 0; attempt < 50 && last !== 'refused'; attempt++) {
      [last] = (
        await probe.exchange([{ protocol: 'http', address: ADDRESSES.ipv4.server, port, timeoutMs: 100 }])
      ).map(({ outcome }) => outcome);
    }
    t.equal(last, 'refused', 'even a frozen backend is gone');
    const again = await network.startAgent('server');
    t.equal((await again.probe.facts()).identity.workload, 'server', 'the socket left behind is replaced');
  });
});
