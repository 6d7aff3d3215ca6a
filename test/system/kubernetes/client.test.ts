import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { KubernetesClient } from '../../../lib/system/kubernetes/client.ts';
import { configFor, contextsOf, extractContext } from '../../../lib/system/kubernetes/kubeconfig.ts';
import { deleteNamespaces, namespacesExist } from '../../../lib/system/kubernetes/namespaces.ts';
import { takingBack } from '../../../lib/system/takingBack.ts';
import { executeUndo, stillExists } from '../../../lib/system/undo.ts';
import {
  type ApiServerOptions,
  type ExecSession,
  failure,
  kubeconfigOf,
  startApiServer,
} from './fixtures/apiServer.ts';

const LIST_PODS = { what: 'list pods', method: 'GET', path: '/api/v1/pods' } as const;

async function clientOf(
  t: Parameters<typeof startApiServer>[0],
  options: ApiServerOptions = {},
  signal?: AbortSignal,
) {
  const server = await startApiServer(t, options);
  const { kubeconfig, context } = server;
  const client = new KubernetesClient({ kubeconfig, context, ...(signal && { signal }) });
  t.teardown(() => client.close());
  return { server, client };
}

t.test('requests share connections and are counted', async (t) => {
  const { server, client } = await clientOf(t);
  for (let round = 0; round < 10; round++) await client.json(LIST_PODS);
  t.ok(server.connections < 5);
  t.same(client.counts, { requests: 10, execs: 0 });
  t.equal((await client.server()).url, server.url);
});

t.test('what the API server says reaches the words of the error', async (t) => {
  const { client } = await clientOf(t, {
    intercept: ({ path: asked }) =>
      asked === '/api/v1/pods'
        ? failure(
            403,
            'Forbidden',
            'pods is forbidden: User "dev" cannot list resource "pods" at the cluster scope',
          )
        : undefined,
  });
  await t.rejects(client.json(LIST_PODS), {
    failure: 'forbidden',
    status: 403,
    message: /^list pods: pods is forbidden: User "dev" cannot list/,
  });
});

t.test('what may pass is tried again, and what may not is not', async (t) => {
  let busy = 2;
  const { server, client } = await clientOf(t, {
    intercept: ({ path: asked }) => {
      if (asked === '/api/v1/nodes') return { status: 500, body: 'no JSON at all' };
      if (asked === '/api/v1/secrets') return failure(409, 'Conflict', 'changed meanwhile');
      return busy-- > 0 ? failure(503, 'ServiceUnavailable', 'starting') : undefined;
    },
  });
  t.match(await client.json(LIST_PODS), { items: [] });
  t.equal(server.asked.length, 3);
  await t.rejects(client.json({ ...LIST_PODS, path: '/api/v1/nodes' }), {
    status: 500,
    message: /no JSON at all/,
  });
  t.equal(server.asked.length, 7, 'three more tries');
  await t.rejects(client.json({ ...LIST_PODS, path: '/api/v1/secrets' }), {
    name: 'KubernetesError',
    failure: 'conflict',
  });
  t.equal(server.asked.length, 8);
});

t.test('what listens in a pod answers by way of the API server, whatever it says', async (t) => {
  const place = { namespace: 'system', name: 'server-1', port: 8500 };
  const { server, client } = await clientOf(t, {
    intercept: ({ method, path: asked }) => {
      if (!asked.startsWith('/api/v1/namespaces/system/pods/server-1:8500/proxy/v1/')) return undefined;
      if (asked.endsWith('/v1/gone')) return failure(503, 'ServiceUnavailable', 'connection refused');
      return method === 'GET' ? { status: 200, body: ['west'] } : { status: 500, body: 'no leader' };
    },
  });
  const ask = (method: 'GET' | 'PUT', path: string) =>
    client.askPod(place, { what: 'ask', method, path, body: method === 'PUT' ? { a: 1 } : undefined });
  t.strictSame(await ask('GET', '/v1/peers'), { status: 200, body: '["west"]' });
  t.strictSame(await ask('PUT', '/v1/peers?all'), { status: 500, body: 'no leader' }, 'its own words');
  t.match(server.asked.at(-1), { method: 'PUT', query: new URLSearchParams('all'), body: { a: 1 } });
  t.equal(server.asked.length, 2, 'what it says is not asked for again');
  await t.rejects(ask('GET', '/v1/gone'), { failure: 'refused', status: 503, message: /connection refused/ });
  t.strictSame(client.counts.execs, 0);
});

t.test('programs that run again and again share one session with a shell', async (t) => {
  const { client } = await clientOf(t, {
    exec: ({ command: [file = '', ...args], ...session }) => {
      const child = spawn(file, args);
      session.onInput((data) => child.stdin.write(data));
      child.stdout.on('data', (data: Buffer) => session.send(1, data));
      t.teardown(() => child.kill());
    },
  });
  const run = (script: string, input?: string) =>
    client.execInShell(
      { namespace: 'mcnet', name: 'client', container: 'proxy' },
      ['sh', '-c', script],
      input === undefined ? {} : { input },
    );
  t.equal(await run('echo here'), 'here\n');
  t.equal(await run('cat', 'what it is given'), 'what it is given');
  await t.rejects(run('echo no such thing >&2; exit 3'), { message: /no such thing/, exitCode: 3 });
  t.equal(client.counts.execs, 1);
});

t.test('a connection that is cut, a server that hangs, one that is gone', async (t) => {
  let cuts = 1;
  const { server, client } = await clientOf(t, {
    intercept: ({ path: asked }) => {
      if (asked === '/api/v1/nodes') return 'hang';
      return cuts-- > 0 ? 'cut' : undefined;
    },
  });
  t.match(await client.json(LIST_PODS), { items: [] }, 'the second try passes');
  await t.rejects(client.json({ ...LIST_PODS, path: '/api/v1/nodes', timeoutMs: 100 }), {
    failure: 'timed-out',
    message: /did not answer in time/,
  });
  const gone = net.createServer();
  await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve));
  const { port } = gone.address() as net.AddressInfo;
  await new Promise<void>((resolve) => gone.close(() => resolve()));
  writeFileSync(server.kubeconfig, kubeconfigOf({ fake: { server: `http://127.0.0.1:${port}` } }));
  await t.rejects(new KubernetesClient(server).json(LIST_PODS), {
    failure: 'unreachable',
    message: /cannot be reached: .*ECONNREFUSED/,
  });
});

t.test('an abort ends what is asked and what is open', async (t) => {
  const controller = new AbortController();
  const { client } = await clientOf(
    t,
    { intercept: ({ path: asked }) => (asked.endsWith('/nodes') ? 'hang' : undefined) },
    controller.signal,
  );
  const asking = client.json({ ...LIST_PODS, path: '/api/v1/nodes' });
  const session = client.open({ namespace: 'mcnet', name: 'client' }, ['cat']);
  session.on('error', () => {});
  const closed = new Promise<void>((resolve) => session.once('close', resolve));
  session.write('x');
  controller.abort(new Error('enough'));
  await t.rejects(asking, /enough/);
  await closed;
  await t.rejects(client.json(LIST_PODS), /enough/);
});

t.test('what is taken back is asked after an abort, too', async (t) => {
  const controller = new AbortController();
  const { server, client } = await clientOf(t, {}, controller.signal);
  controller.abort(new Error('enough'));
  await t.rejects(client.json(LIST_PODS), /enough/);
  t.equal(server.asked.length, 0);
  await takingBack(async () => {
    await setImmediate();
    await client.json(LIST_PODS);
  });
  t.equal(server.asked.length, 1);
  await t.rejects(client.json(LIST_PODS), /enough/);
});

t.test('kinds are found by what the server knows, once', async (t) => {
  const { server, client } = await clientOf(t);
  t.same(await client.resource('v1', 'Pod'), { name: 'pods', namespaced: true });
  t.same(await client.resource('v1', 'Node'), { name: 'nodes', namespaced: false });
  t.equal(server.asked.length, 1);
  await t.rejects(client.resource('v1', 'Unicorn'), {
    failure: 'not-found',
    message: /knows no Unicorn of v1/,
  });
  await t.rejects(client.resource('example.org/v1', 'Pod'), {
    name: 'KubernetesError',
    failure: 'not-found',
  });
});

t.test('kubeconfigs', async (t) => {
  const server = await startApiServer(t);
  writeFileSync(
    server.kubeconfig,
    kubeconfigOf({
      east: { server: 'http://127.0.0.1:1', token: 'one' },
      west: { server: 'http://127.0.0.1:2', token: 'two' },
    }),
  );
  t.same(await contextsOf(server.kubeconfig), ['east', 'west']);
  await t.rejects(configFor(server.kubeconfig, 'north'), {
    failure: 'kubeconfig',
    message: /no context "north".*east, west/,
  });
  const text = await extractContext(server.kubeconfig, 'west');
  t.match(text, /two/);
  t.notMatch(text, /one|east/, 'credentials of other clusters stay where they are');
  const file = path.join(path.dirname(server.kubeconfig), 'west');
  writeFileSync(file, text);
  t.same(await contextsOf(file), ['west']);
  rmSync(file);
  await t.rejects(contextsOf(file), { failure: 'kubeconfig', message: /cannot be read: ENOENT/ });
});

t.test('programs in pods', async (t) => {
  const exec = (session: ExecSession): void => {
    const [program] = session.command;
    if (program === 'cat') {
      session.onInput((data) => {
        session.send(1, data);
        session.finish(0);
      });
    } else if (program === 'false') {
      session.send(2, 'no such luck\n');
      session.finish(3);
    } else if (program === 'cut') {
      session.socket.terminate();
    } else if (program === 'large') {
      session.send(1, Buffer.alloc(1_000_000, 'y'));
      session.finish(0);
    }
  };
  const { server, client } = await clientOf(t, { exec });
  const pod = { namespace: 'mcnet', name: 'client', container: 'agent' };
  t.equal(await client.exec(pod, ['cat', 'two words'], { input: 'hello' }), 'hello');
  t.match(server.execs[0], {
    namespace: 'mcnet',
    pod: 'client',
    container: 'agent',
    command: ['cat', 'two words'],
  });
  t.equal((await client.exec(pod, ['large'])).length, 1_000_000);
  await t.rejects(
    client.exec(pod, ['false', '-x']),
    /`false -x` in a pod failed: the program ended with 3: no such luck/,
  );
  await t.rejects(client.exec(pod, ['cut']), /cut \(WebSocket 1006\)/, 'a dropped connection is no success');
  await t.rejects(client.exec(pod, ['sleep'], { timeoutMs: 100 }), /did not end within 100 ms/);
  t.same(client.counts.execs, 5);
});

t.test('sessions that are refused say why', async (t) => {
  const { client } = await clientOf(t, {
    intercept: ({ path: asked }) =>
      asked.endsWith('/exec')
        ? failure(403, 'Forbidden', 'User "dev" cannot create resource "pods/exec" in the namespace "mcnet"')
        : undefined,
  });
  await t.rejects(client.exec({ namespace: 'mcnet', name: 'client' }, ['true']), {
    failure: 'forbidden',
    message: /exec in mcnet\/client: User "dev" cannot create resource "pods\/exec"/,
  });
});

t.test('a session that stays: both ways, in frames, until the program ends', async (t) => {
  let frames = 0;
  const { client } = await clientOf(t, {
    exec: (session) =>
      session.onInput((data) => {
        frames++;
        session.send(1, data);
        if (data.includes('bye')) session.finish(0);
      }),
  });
  const stream = client.open({ namespace: 'mcnet', name: 'client' }, ['mcnet-agent']);
  let received = 0;
  stream.on('data', (chunk: Buffer) => (received += chunk.length));
  stream.write(Buffer.alloc(200_000, 'x'));
  stream.write('bye');
  await new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject));
  t.equal(received, 200_003);
  t.ok(frames > 5, 'no frame is too large');
});

t.test('a slow reader holds the sender', async (t) => {
  const total = 400;
  const { client } = await clientOf(t, {
    exec: (session) => {
      for (let index = 0; index < total; index++) session.send(1, Buffer.alloc(10_000));
      session.finish(0);
    },
  });
  const stream = client.open({ namespace: 'mcnet', name: 'client' }, ['flood']);
  let received = 0;
  for await (const chunk of stream) {
    received += (chunk as Buffer).length;
    if (received < 100_000) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.equal(received, total * 10_000);
});

t.test('namespaces of a run are deleted, and no others', async (t) => {
  const server = await startApiServer(t);
  const namespace = (name: string, run?: string) =>
    server.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: run ? { run } : {} } });
  namespace('mine', 'k3x9ab');
  namespace('also-mine', 'k3x9ab');
  namespace('theirs', 'other1');
  namespace('default');
  const action = {
    kind: 'delete-namespaces',
    kubeconfig: server.kubeconfig,
    context: 'fake',
    label: 'run=k3x9ab',
  } as const;
  t.equal(await stillExists(action), true);
  await executeUndo(action);
  t.same(
    [...server.objects.values()].map(({ metadata }) => metadata.name),
    ['theirs', 'default'],
  );
  t.equal(await stillExists(action), false);
  await deleteNamespaces(action);
  t.equal(await namespacesExist({ ...action, label: 'run=other1' }), true);
});
