import t from 'tap';
import type { Handshake, Sample } from '../../lib/model/probe.ts';
import {
  createIntermediate,
  createLeaf,
  createRoot,
  validFor,
} from '../../lib/profile/common/certificates.ts';
import {
  foreignLeaf,
  handshakes,
  identity,
  plaintext,
  principal,
  rotation,
  trust,
  validity,
  wire,
} from '../../suites/mtls.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const CLIENT = 'spiffe://cluster.local/ns/mcnet/sa/client';
const ECHO = 'spiffe://cluster.local/ns/mcnet/sa/echo-1';
const DAY_MS = 86_400_000;
const now = new Date();

t.test('mtls.identity', async (t) => {
  const told = (...callers: string[]) => ({ answerer: 'west/mcnet/echo-1', header: callers.join(), callers });
  const seen = {
    from: 'east',
    to: 'west',
    header: 'x-forwarded-client-cert',
    expected: CLIENT,
    claimed: ECHO,
    address: '10.10.0.2',
    answeredBy: ['east', 'west'],
    honest: [told(CLIENT)],
    forged: [told(CLIENT)],
  };
  const verdict = (more: object) => outcomeOf(judge(identity, { ...seen, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ forged: [told(ECHO, CLIENT)] }), 'passed', 'the last element counts');
  t.equal(verdict({ forged: [told(CLIENT, ECHO)] }), 'failed: forged-identity');
  t.equal(verdict({ forged: [told(ECHO)] }), 'failed: forged-identity');
  t.equal(verdict({ honest: [told(ECHO)] }), 'failed: wrong-identity');
  t.equal(verdict({ honest: [{ answerer: 'west/mcnet/echo-1', callers: [] }] }), 'failed: caller-unknown');
  t.equal(verdict({ honest: [], answeredBy: ['east'] }), 'inconclusive: control-failed');
});

t.test('mtls.principal', async (t) => {
  const refused = () => times(20, () => exchange({ outcome: 'garbled', status: 403 }));
  const entry = (more: object = {}) => ({
    protocol: 'http',
    port: 8090,
    allowed: [answeredBy('east'), answeredBy('west')],
    refused: refused(),
    ...more,
  });
  const verdict = (...entries: object[]) =>
    outcomeOf(judge(principal, { from: 'east', to: 'west', address: '10.10.0.2', entries }));
  t.equal(verdict(entry(), entry({ protocol: 'tcp' })), 'passed');
  const mixed = [...refused().slice(1), answeredBy('west')];
  t.equal(verdict(entry(), entry({ protocol: 'tcp', refused: mixed })), 'failed: identity-not-enforced');
  const own = [...refused().slice(1), answeredBy('east')];
  t.equal(verdict(entry({ refused: own })), 'passed', 'what the own cluster lets in is another case');
  t.equal(verdict(entry({ allowed: [answeredBy('east')] })), 'inconclusive: control-failed');
  t.equal(verdict(entry({ refused: [] })), 'inconclusive: probe-failed');
  t.equal(verdict(), 'inconclusive: probe-failed');
});

t.test('mtls.plaintext', async (t) => {
  const seen = {
    cluster: 'east',
    address: '10.0.0.3',
    control: times(5, () => exchange()),
    closed: true,
    closedAfterMs: 300,
    last: times(5, () => exchange({ outcome: 'reset' })),
  };
  const verdict = (more: object) => outcomeOf(judge(plaintext, { ...seen, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ last: times(5, () => exchange()) }), 'failed: plaintext-accepted');
  t.equal(verdict({ closed: false }), 'failed: plaintext-accepted');
  t.equal(verdict({ control: seen.last }), 'inconclusive: control-failed');
  t.equal(verdict({ last: [] }), 'inconclusive: probe-failed');
});

const shaken = (more: Partial<Handshake> = {}): Handshake => ({
  address: '10.0.0.3',
  port: 8090,
  nonce: 'n',
  outcome: 'refused',
  detail: 'TLS alert: certificate unknown',
  durationMs: 3,
  chain: ['a certificate'],
  version: 'TLSv1.3',
  ...more,
});

t.test('mtls.foreign-leaf', async (t) => {
  const verdict = (foreign: Handshake, anonymous = shaken()) =>
    outcomeOf(judge(foreignLeaf, { cluster: 'east', target: '10.0.0.3', anonymous, foreign }));
  const identityOfTarget = { cluster: 'east', namespace: 'mcnet', workload: 'guarded', instance: '1' };
  t.equal(verdict(shaken()), 'passed');
  t.equal(verdict(shaken({ outcome: 'closed' })), 'passed');
  t.equal(
    verdict(shaken({ outcome: 'answered', answeredBy: identityOfTarget })),
    'failed: foreign-leaf-accepted',
  );
  t.equal(verdict(shaken({ outcome: 'garbled', status: 403 })), 'failed: foreign-leaf-accepted');
  t.equal(verdict(shaken(), shaken({ outcome: 'garbled', status: 403 })), 'failed: foreign-leaf-accepted');
  t.equal(verdict(shaken({ chain: [] })), 'inconclusive: control-failed');
  t.equal(verdict(shaken({ outcome: 'timed-out' })), 'inconclusive: control-failed');
  const command = (target: string, dialect?: object) =>
    judge(foreignLeaf, {
      ...{ cluster: 'east', target, ...(dialect && { dialect }) },
      ...{ foreign: shaken({ outcome: 'garbled', status: 403 }), anonymous: shaken() },
    }).reproduce?.command;
  t.equal(
    command('10.0.0.3', { serverName: 'guarded-mcnet', alpn: [] }),
    'openssl s_client -connect 10.0.0.3:8090 -servername guarded-mcnet',
  );
  t.equal(
    command('fd6d::3', { serverName: 'outbound_.8090_._.guarded', alpn: ['istio', 'h2'] }),
    'openssl s_client -connect [fd6d::3]:8090 -servername outbound_.8090_._.guarded -alpn istio,h2',
  );
  t.equal(command('10.0.0.3'), 'openssl s_client -connect 10.0.0.3:8090', 'a record of old');
});

t.test('certificates', async (t) => {
  const mesh = await createRoot('mesh', validFor(400, now));
  const other = await createRoot('other', validFor(400, now));
  const west = await createIntermediate('west', mesh, validFor(200, now));
  const leaf = await createLeaf(ECHO, west, now);
  const chain = [leaf.certificate, west.certificate];

  await t.test('mtls.trust', async (t) => {
    const seen = {
      from: 'east',
      to: 'west',
      expected: ECHO,
      chain,
      handshake: 'refused',
      bundle: [mesh.certificate],
      ownBundle: [mesh.certificate],
    };
    const verdict = (more: object) => outcomeOf(judge(trust, { ...seen, ...more }));
    t.equal(verdict({}), 'passed');
    t.equal(
      verdict({ bundle: [other.certificate, mesh.certificate] }),
      'passed',
      'each other’s roots will do',
    );
    t.equal(verdict({ chain: [...chain, mesh.certificate] }), 'passed', 'who sends the root as well');
    t.equal(verdict({ bundle: [other.certificate] }), 'failed: foreign-root');
    t.equal(
      verdict({ bundle: [other.certificate], ownBundle: [mesh.certificate, other.certificate] }),
      'failed: foreign-root',
      'a root that vouches for nobody any more is common to both',
    );
    t.equal(
      verdict({ chain: [leaf.certificate] }),
      'failed: leaf-not-trusted',
      'the intermediate is missing',
    );
    t.equal(verdict({ expected: CLIENT }), 'failed: wrong-identity');
    t.equal(verdict({ chain: [] }), 'inconclusive: control-failed');
    t.equal(verdict({ bundle: [] }), 'inconclusive: probe-failed');
    t.throws(() => verdict({ chain: ['no certificate'] }), 'which makes a case inconclusive');
  });

  await t.test('mtls.rotation', async (t) => {
    const next = await createIntermediate('west', mesh, validFor(30, now));
    const after = await createLeaf(ECHO, next, now);
    const stranger = await createIntermediate('west', other, validFor(30, now));
    const sample = (more: Partial<Sample>): Sample => ({ at: 0, latencyMs: 9, outcome: 'answered', ...more });
    const load = times(40, () => sample({ cluster: 'west' }));
    const seen = {
      from: 'east',
      to: 'west',
      address: '10.10.0.2',
      held: true,
      before: chain,
      after: [after.certificate, next.certificate],
      bundle: [mesh.certificate],
      met: true,
      metAfterMs: 300,
      load,
    };
    const verdict = (more: object) => outcomeOf(judge(rotation, { ...seen, ...more }));
    t.equal(verdict({}), 'passed');
    t.equal(
      verdict({ load: [...load, sample({ outcome: 'reset' })] }),
      'failed: requests-lost',
      'one is too many',
    );
    t.equal(verdict({ met: false }), 'failed: leaf-not-trusted');
    t.equal(verdict({ after: [leaf.certificate, stranger.certificate] }), 'failed: leaf-not-trusted');
    t.equal(verdict({ after: chain }), 'inconclusive: fault-did-not-hold', 'nothing was rotated');
    t.equal(verdict({ held: false }), 'inconclusive: fault-did-not-hold');
    t.equal(verdict({ after: [] }), 'inconclusive: fault-did-not-hold', 'it showed nothing');
    t.equal(
      verdict({ load: times(40, () => sample({ cluster: 'east' })) }),
      'inconclusive: control-failed',
      'nothing crossed',
    );
    t.equal(verdict({ load: [] }), 'inconclusive: control-failed');
  });

  await t.test('mtls.validity', async (t) => {
    const seen = {
      cluster: 'west',
      at: now.getTime(),
      chain,
      handshake: 'refused',
      bundle: [mesh.certificate],
    };
    const verdict = (more: object) => outcomeOf(judge(validity, { ...seen, ...more }));
    t.equal(verdict({}), 'passed');
    t.equal(
      verdict({ at: now.getTime() + 0.9 * DAY_MS }),
      'failed: certificate-ending',
      'the leaf has a tenth left',
    );
    t.equal(verdict({ at: now.getTime() + 2 * DAY_MS }), 'failed: certificate-ending', 'the leaf is over');
    t.equal(verdict({ at: now.getTime() - DAY_MS }), 'failed: certificate-ending', 'the leaf has not begun');
    const short = await createRoot('short', validFor(10, now));
    t.equal(
      verdict({ bundle: [short.certificate] }),
      'failed: certificate-ending',
      'the root ends in ten days',
    );
    const brief = await createIntermediate('brief', mesh, {
      from: new Date(now.getTime() - 100 * DAY_MS),
      until: new Date(now.getTime() + 10 * DAY_MS),
    });
    t.equal(
      verdict({ chain: [leaf.certificate, brief.certificate] }),
      'failed: certificate-ending',
      'the intermediate',
    );
    t.equal(verdict({ chain: [] }), 'inconclusive: control-failed');
  });
});

t.test('mtls.handshakes', async (t) => {
  const seen = {
    cluster: 'east',
    version: 'TLSv1.3',
    group: 'X25519MLKEM768',
    detail: 'refused',
    counted: {},
  };
  const verdict = (more: object) => judge(handshakes, { ...seen, ...more });
  t.match(verdict({}), { status: 'passed', reason: /X25519MLKEM768 when probed \(post-quantum\)/ });
  t.match(verdict({ group: 'x25519', counted: { 'TLSv1.3': 3, X25519: 3 } }), {
    status: 'passed',
    reason: /none of them post-quantum.*X25519 3/,
  });
  t.equal(outcomeOf(verdict({ version: 'TLSv1.1' })), 'failed: tls-too-old');
  t.equal(outcomeOf(verdict({ counted: { 'TLSv1.0': 1 } })), 'failed: tls-too-old');
  t.equal(outcomeOf(verdict({ version: undefined })), 'inconclusive: control-failed');
});

t.test('mtls.wire', async (t) => {
  const captured = (markerPackets: number) => ({
    packets: 9,
    bytes: 9_000,
    markerPackets,
    flows: [],
    droppedByKernel: 0,
  });
  const seen = {
    from: 'east',
    to: 'west',
    target: '10.16.0.3',
    wired: captured(0),
    plainly: captured(2),
    crossed: 3,
    controlled: true,
  };
  const verdict = (more: object) => outcomeOf(judge(wire, { ...seen, ...more }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ wired: captured(1) }), 'failed: clear-text-on-wan');
  t.equal(verdict({ crossed: 0 }), 'inconclusive: control-failed');
  t.equal(verdict({ plainly: captured(0) }), 'inconclusive: control-failed');
});
