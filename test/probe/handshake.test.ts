import { X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import t from 'tap';
import { handshakeAll } from '../../lib/probe/agent/handshake.ts';
import { createHttpServer, httpHandler } from '../../lib/probe/agent/http-target.ts';
import type { Credentials } from '../../lib/model/probe.ts';
import {
  createIntermediate,
  createLeaf,
  createRoot,
  validFor,
} from '../../lib/profile/support/certificates.ts';

const now = new Date();
const SERVER_ID = 'spiffe://cluster.local/ns/mcnet/sa/echo-1';
const IDENTITY = { cluster: 'east', namespace: 'mcnet', workload: 'echo-1', instance: '1' };

async function authority(name: string) {
  const root = await createRoot(`${name} root`, validFor(30, now));
  const east = await createIntermediate(`${name} east`, root, validFor(10, now));
  const issue = async (uri: string): Promise<Credentials> => {
    const leaf = await createLeaf(uri, east, now);
    return { certificates: `${leaf.certificate}${east.certificate}`, key: leaf.key };
  };
  return { root, east, issue };
}

t.test('handshakes', async (t) => {
  const [mesh, stranger] = await Promise.all([authority('mesh'), authority('stranger')]);
  const { certificates: cert, key } = await mesh.issue(SERVER_ID);
  const http = createHttpServer(
    httpHandler({ identity: IDENTITY, state: () => 'serving', onReceipt: () => {} }),
  );
  const serve = async (options: tls.TlsOptions): Promise<number> => {
    const server = tls.createServer(
      { cert, key, ca: mesh.root.certificate, ALPNProtocols: ['istio', 'http/1.1'], ...options },
      (socket) => http.emit('connection', socket),
    );
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    return (server.address() as net.AddressInfo).port;
  };
  const strict = await serve({ requestCert: true, rejectUnauthorized: true });
  const old = await serve({ maxVersion: 'TLSv1.2', ecdhCurve: 'P-256' });
  const ask = async (port: number, credentials?: Credentials) => {
    const [handshake] = await handshakeAll(
      [
        {
          address: '127.0.0.1',
          port,
          nonce: 'n1',
          serverName: 'outbound_.8090_._.echo.mcnet.svc.cluster.local',
          alpn: ['istio'],
          timeoutMs: 20_000,
          ...(credentials && { credentials }),
        },
      ],
      new AbortController().signal,
    );
    return handshake as NonNullable<typeof handshake>;
  };

  await t.test('who shows a leaf that the server trusts is answered', async (t) => {
    const seen = await ask(strict, await mesh.issue('spiffe://cluster.local/ns/mcnet/sa/client'));
    t.match(seen, {
      outcome: 'answered',
      status: 200,
      version: 'TLSv1.3',
      alpn: 'istio',
      answeredBy: IDENTITY,
    });
    t.equal(seen.group, 'X25519MLKEM768');
    const [leaf, intermediate] = seen.chain.map((pem) => new X509Certificate(pem));
    t.equal(leaf?.subjectAltName, `URI:${SERVER_ID}`);
    t.ok(intermediate && leaf?.verify(intermediate.publicKey));
    t.ok(intermediate?.verify(new X509Certificate(mesh.root.certificate).publicKey));
  });

  await t.test(
    'without one, or with a foreign one, the server refuses after it has shown its own',
    async (t) => {
      for (const credentials of [
        undefined,
        await stranger.issue('spiffe://cluster.local/ns/mcnet/sa/client'),
      ]) {
        const seen = await ask(strict, credentials);
        // Node.js as a server ends the connection where others send an alert.
        t.match(seen.outcome, /^(?:refused|closed)$/);
        t.equal(seen.chain.length, 2);
      }
    },
  );

  await t.test('TLS 1.2 names its group in another message', async (t) => {
    t.match(await ask(old), { outcome: 'answered', version: 'TLSv1.2', group: 'secp256r1' });
  });

  await t.test('what speaks no TLS, and what does not listen', async (t) => {
    const plain = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.end('SSH-2.0-nothing-here-speaks-tls\r\n');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const { port } = plain.address() as net.AddressInfo;
    t.match(await ask(port), { outcome: 'garbled', chain: [] });
    await new Promise((resolve) => plain.close(resolve));
    t.match(await ask(port), { outcome: 'refused', chain: [], detail: /ECONNREFUSED/ });
  });

  await t.test('a request that makes no sense is an error of the caller', async (t) => {
    const signal = new AbortController().signal;
    await t.rejects(handshakeAll([{ address: 'east', port: 1, nonce: 'n' }], signal), {
      message: /IP address/,
    });
    await t.rejects(handshakeAll([{ address: '127.0.0.1', port: 1, nonce: '' }], signal), {
      message: /nonce/,
    });
  });
});
