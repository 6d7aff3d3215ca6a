import {
  GUARDED,
  INTRUDER,
  OUTSIDER,
  clearTextAccepted,
  guarded,
  guardedService,
  mutualTls,
  outsider,
} from '../fixtures/identities.ts';
import { discoverable, discoverableService, newcomer } from '../fixtures/newcomers.ts';
import { CLIENT, ECHO, client, echo, echoService, sharedEcho } from '../fixtures/workloads.ts';
import {
  CERTIFICATE_LEFT,
  CONVERGENCE_MS,
  CONVERGENCE_SUCCESSES,
  DENY_HOLDS_MS,
  DISCOVERY_MS,
  ROOT_DAYS_LEFT,
} from '../lib/model/budgets.ts';
import {
  type ClusterView,
  type PairContext,
  type Site,
  type SiteIdentities,
  type Suite,
  type Toolkit,
  defineCheck,
} from '../lib/model/check.ts';
import { SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { CaptureSummary, Exchange, Handshake, Sample } from '../lib/model/probe.ts';
import { type Figures, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { callCommand, commonest, countOutcomes, shownOutcome } from './support/calls.ts';
import { type Certificate, endingSoon, lifetimes, read, verifies } from './support/certificates.ts';
import { type Call, answerers, callUntilAllAnswer, sameCalls, wayOfPair } from './support/services.ts';

const SPIFFE = 'SPIFFE X.509-SVID';
const CALL_TIMEOUT_MS = 2_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;

function identitiesOf({ identities }: Toolkit): SiteIdentities {
  if (!identities) throw new TypeError('the technology on top has no identities');
  return identities;
}

/** The address by which callers here find a service that clusters share. */
const addressOf = (
  view: ClusterView,
  { family }: Toolkit,
  service: { namespace: string; name: string },
): string => view.sharedService(service).addresses[family] ?? '';

/** What the server was told of who called. */
interface Told {
  readonly answerer: string;
  readonly header?: string;
  /** Identities in the header, the nearest caller last. */
  readonly callers: readonly string[];
}

interface Introductions {
  readonly from: string;
  readonly to: string;
  readonly header: string;
  readonly expected: string;
  readonly claimed: string;
  readonly address: string;
  readonly answeredBy: readonly string[];
  readonly honest: readonly Told[];
  /** The same calls with a header that claims to be somebody else. */
  readonly forged: readonly Told[];
}

function toldBy(exchanges: readonly Exchange[], cluster: string, identities: SiteIdentities): Told[] {
  return exchanges.flatMap(({ outcome, answeredBy, reflected }) => {
    if (outcome !== 'answered' || answeredBy?.cluster !== cluster) return [];
    const header = reflected?.[identities.callerHeader];
    return [
      {
        answerer: `${answeredBy.cluster}/${answeredBy.namespace}/${answeredBy.workload}`,
        ...(header !== undefined && { header }),
        callers: header === undefined ? [] : identities.callersIn(header),
      },
    ];
  });
}

/** The calls by which the other cluster answered, or the last: callers may have been led elsewhere a moment ago. */
async function callUntilAnswered(
  { to, converge }: PairContext,
  caller: Site,
  call: Call,
): Promise<readonly Exchange[]> {
  const { last } = await converge(() => callUntilAllAnswer(caller, call, [to.name]), {
    succeeded: (exchanges) => answerers(exchanges).includes(to.name),
    budgetMs: CONVERGENCE_MS.value,
    successes: 1,
  });
  return last;
}

export const identity = defineCheck({
  id: 'mtls.identity',
  title: 'The server of another cluster is told who called, whatever the caller claims',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['mtls', 'share-service'],
  uses: [client, sharedEcho],
  withoutFaults: 'What tells the server is the proxy itself, and no injector replaces it',
  hint: 'Does a proxy stand beside caller and server, and does the server see its header? Look at both proxies’ logs',
  reference: SPIFFE,

  async observe(context): Promise<Introductions> {
    const { from, to } = context;
    const identities = identitiesOf(context);
    const caller = from.site(CLIENT);
    const address = addressOf(from, context, echoService);
    const call = {
      protocol: 'http' as const,
      address,
      port: PORTS.service,
      reflect: [identities.callerHeader],
    };
    const claimed = identities.identityOf(to.site(ECHO));
    const honest = await callUntilAnswered(context, caller, call);
    const forged = await callUntilAllAnswer(
      caller,
      { ...call, headers: { [identities.callerHeader]: identities.claim(claimed) } },
      [to.name],
    );
    return {
      from: from.name,
      to: to.name,
      header: identities.callerHeader,
      expected: identities.identityOf(caller),
      claimed,
      address,
      answeredBy: answerers([...honest, ...forged]),
      honest: toldBy(honest, to.name, identities),
      forged: toldBy(forged, to.name, identities),
    };
  },

  judge({ from, to, header, expected, claimed, address, answeredBy, honest, forged }) {
    if (honest.length === 0 || forged.length === 0) {
      return inconclusive(
        'control-failed',
        `${to} never answered, only ${answeredBy.join(', ') || 'nobody'}: nobody there could be told anything`,
      );
    }
    const details = {
      expected: `${header} of a server in ${to} ends with ${expected}`,
      reproduce: { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) },
    };
    const silent = [...honest, ...forged].find(({ callers }) => callers.length === 0);
    if (silent) {
      return failed('caller-unknown', `${silent.answerer} is not told who called`, {
        ...details,
        seen: silent.header === undefined ? `no header ${header}` : `${header}: ${silent.header}`,
      });
    }
    const wrong = honest.find(({ callers }) => callers.at(-1) !== expected);
    if (wrong) {
      return failed('wrong-identity', `${wrong.answerer} is told of another caller`, {
        ...details,
        seen: wrong.callers.join(', then '),
      });
    }
    const believed = forged.find(({ callers }) => callers.at(-1) !== expected);
    if (believed) {
      return failed('forged-identity', `${believed.answerer} is told what the caller claims`, {
        ...details,
        seen: `with a forged header of ${claimed}: ${believed.callers.join(', then ')}`,
      });
    }
    return passed(`${expected} in ${honest.length} calls, and in ${forged.length} with a forged header`);
  },
});

const PRINCIPAL_CALLS = 20;
const GUARDED_PORTS = [
  { protocol: 'http', port: PORTS.service },
  { protocol: 'tcp', port: PORTS.serviceTcp },
] as const;

interface Entries {
  readonly protocol: 'http' | 'tcp';
  readonly port: number;
  /** Calls of the one who may, until the other cluster answered. */
  readonly allowed: readonly Exchange[];
  /** Calls of the one who may not. */
  readonly refused: readonly Exchange[];
}

export const principal = defineCheck({
  id: 'mtls.principal',
  title: 'A policy by identity lets one caller of another cluster in and no other, by HTTP and by TCP',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['mtls', 'share-service'],
  uses: [client, guarded],
  budgets: { holds: DENY_HOLDS_MS },
  withoutFaults: 'policy.identity looks at the same policy in all clusters, and is shown able to fail there',
  mostlyWaits: true,
  quiet: true,
  hint: 'Compare the policy by identity of both clusters, and the identities that both workloads really have',
  reference: SPIFFE,

  async observe(context, { holds }) {
    const { from, to } = context;
    const address = addressOf(from, context, guardedService);
    const [caller, intruder] = [from.site(CLIENT), from.site(INTRUDER)];
    const entries = await Promise.all(
      GUARDED_PORTS.map(async ({ protocol, port }): Promise<Entries> => {
        const call = { protocol, address, port };
        const allowed = await callUntilAnswered(context, caller, call);
        const first = await intruder.exchange(sameCalls(call, PRINCIPAL_CALLS / 2));
        await context.sleep(holds);
        const last = await intruder.exchange(sameCalls(call, PRINCIPAL_CALLS / 2));
        return { protocol, port, allowed, refused: [...first, ...last] };
      }),
    );
    return { from: from.name, to: to.name, address, entries };
  },

  judge({ from, to, address, entries }) {
    if (entries.length === 0) return inconclusive('probe-failed', 'Nothing was tried');
    for (const { protocol, port, allowed, refused } of entries) {
      if (refused.length < PRINCIPAL_CALLS) {
        return inconclusive('probe-failed', `${refused.length} of ${PRINCIPAL_CALLS} calls were reported`);
      }
      const entered = refused.find(
        ({ outcome, answeredBy }) => outcome === 'answered' && answeredBy?.cluster === to,
      );
      if (entered) {
        return failed('identity-not-enforced', `A caller that the policy refuses is answered by ${to}`, {
          expected: `${from}/${INTRUDER} gets no answer of ${to}/${GUARDED} by ${protocol.toUpperCase()}`,
          seen: `answered by ${entered.answeredBy?.cluster}/${entered.answeredBy?.namespace}/${entered.answeredBy?.workload}`,
          reproduce: { at: `${from}/${INTRUDER}`, command: callCommand(protocol, address, port) },
        });
      }
      if (!answerers(allowed).includes(to)) {
        return inconclusive(
          'control-failed',
          `The caller that the policy allows is not answered by ${to} either (${countOutcomes(allowed) || `only by ${answerers(allowed).join(', ')}`}), by ${protocol.toUpperCase()}`,
        );
      }
    }
    return passed(`the one who may was answered by ${to}, the other by nobody there, by HTTP and by TCP`);
  },
});

const PLAIN_CALLS = 5;

export const plaintext = defineCheck({
  id: 'mtls.plaintext',
  title: 'Inside its own cluster a service refuses clear text, which it took while that was allowed',
  level: 'core',
  scope: 'cluster',
  classes: SERVICE_CLASSES,
  requires: ['mtls'],
  uses: [client, echo, sharedEcho, outsider, mutualTls],
  mostlyWaits: true,
  budgets: { holds: DENY_HOLDS_MS },
  faults: [{ kind: 'clear-text-accepted', cause: 'plaintext-accepted' }],
  hint: 'Look for a policy of the namespace, of the workload or of one of its ports that takes clear text as well (a permissive mode), and for ports that the proxy leaves alone',
  reference: 'https://istio.io/latest/docs/tasks/security/authentication/mtls-migration/',

  async observe(context, { holds }) {
    const { cluster } = context;
    const caller = cluster.site(OUTSIDER);
    const { address } = cluster.site(ECHO);
    const call = () =>
      caller.exchange(
        sameCalls({ protocol: 'http', address, port: PORTS.service }, PLAIN_CALLS, CALL_TIMEOUT_MS),
      );
    const isOpen = (exchanges: readonly Exchange[]) =>
      exchanges.some(({ outcome }) => outcome === 'answered');
    await context.apply(clearTextAccepted, cluster.name);
    const control = await context.converge(call, {
      succeeded: isOpen,
      budgetMs: CONVERGENCE_MS.value,
      successes: CONVERGENCE_SUCCESSES.value,
    });
    await context.withdraw(clearTextAccepted, cluster.name);
    const closed = await context.converge(call, {
      succeeded: (exchanges) => !isOpen(exchanges),
      budgetMs: CONVERGENCE_MS.value,
      successes: CONVERGENCE_SUCCESSES.value,
    });
    await context.sleep(holds);
    return {
      cluster: cluster.name,
      address,
      control: control.last,
      closed: closed.converged,
      closedAfterMs: closed.elapsedMs,
      last: await call(),
    };
  },

  judge({ cluster, address, control, closed, closedAfterMs, last }) {
    if (last.length < PLAIN_CALLS) {
      return inconclusive('probe-failed', `${last.length} of ${PLAIN_CALLS} calls were reported`);
    }
    const answered = last.filter(({ outcome }) => outcome === 'answered').length;
    if (!closed || answered > 0) {
      return failed('plaintext-accepted', `${cluster}/${ECHO} answers in clear text`, {
        expected: `no answer to a caller without a certificate on ${address}:${PORTS.service}`,
        seen: `${answered} of ${last.length} calls answered`,
        reproduce: { at: `${cluster}/${OUTSIDER}`, command: callCommand('http', address, PORTS.service) },
      });
    }
    if (!control.some(({ outcome }) => outcome === 'answered')) {
      return inconclusive(
        'control-failed',
        `Clear text was not answered while it was allowed either: ${countOutcomes(control)}`,
      );
    }
    const outcome = commonest(last.map((exchange) => exchange.outcome)) ?? 'timed-out';
    return passed(`answered while allowed, then ${shownOutcome(outcome)}`, {
      'time to refuse': { value: closedAfterMs, unit: 'ms' },
    });
  },
});

type Dialect = ReturnType<SiteIdentities['dialect']>;

interface Credential {
  readonly cluster: string;
  readonly target: string;
  /** How a client of the technology begins; records of old do not have it. */
  readonly dialect?: Dialect;
  readonly anonymous: Handshake;
  readonly foreign: Handshake;
}

/** Handshakes of one who has no certificate, with the proxy of a workload of its own cluster. */
async function shakeHands(
  cluster: ClusterView,
  { address }: Pick<Site, 'address'>,
  service: { namespace: string; name: string },
  identities: SiteIdentities,
  credentials?: Awaited<ReturnType<SiteIdentities['foreignCredentials']>>,
): Promise<Handshake> {
  const [handshake] = await cluster.site(OUTSIDER).handshake([
    {
      address,
      port: PORTS.service,
      ...identities.dialect(service, PORTS.service),
      timeoutMs: HANDSHAKE_TIMEOUT_MS,
      ...(credentials && { credentials }),
    },
  ]);
  if (!handshake) throw new TypeError('the probe reported no handshake');
  return handshake;
}

/** The same, until a certificate is shown: another case may let clear text past the proxy for its own length. */
async function shakeHandsWithMesh(
  { converge }: Pick<Toolkit, 'converge'>,
  cluster: ClusterView,
  identities: SiteIdentities,
): Promise<Handshake> {
  const { last } = await converge(() => shakeHands(cluster, cluster.site(ECHO), echoService, identities), {
    succeeded: ({ chain }) => chain.length > 0,
    budgetMs: CONVERGENCE_MS.value,
    successes: 1,
  });
  return last;
}

/** The handshake by hand, with no certificate; for one of somebody else's, `-cert` and `-key`. */
function openCommand(target: string, { serverName = '', alpn = [] }: Partial<Dialect> = {}): string {
  const host = target.includes(':') ? `[${target}]` : target;
  return [
    `openssl s_client -connect ${host}:${PORTS.service}`,
    ...(serverName === '' ? [] : [`-servername ${serverName}`]),
    ...(alpn.length === 0 ? [] : [`-alpn ${alpn.join(',')}`]),
  ].join(' ');
}

export const foreignLeaf = defineCheck({
  id: 'mtls.foreign-leaf',
  title: 'A certificate of an authority that nobody trusts is refused, whatever identity it claims',
  level: 'core',
  scope: 'cluster',
  classes: SERVICE_CLASSES,
  requires: ['mtls'],
  uses: [client, guarded, outsider, mutualTls],
  withoutFaults: 'Nothing short of another proxy makes one trust an authority that it was never given',
  hint: 'Look at the authorities that the proxy of the target trusts, and whether it asks for certificates at all',
  reference: SPIFFE,

  async observe(context): Promise<Credential> {
    const { cluster } = context;
    const identities = identitiesOf(context);
    const credentials = await identities.foreignCredentials(identities.identityOf(cluster.site(CLIENT)));
    const [anonymous, foreign] = await Promise.all([
      shakeHands(cluster, cluster.site(GUARDED), guardedService, identities),
      shakeHands(cluster, cluster.site(GUARDED), guardedService, identities, credentials),
    ]);
    const dialect = identities.dialect(guardedService, PORTS.service);
    return { cluster: cluster.name, target: cluster.site(GUARDED).address, dialect, anonymous, foreign };
  },

  judge({ cluster, target, dialect, anonymous, foreign }) {
    const details = {
      expected: `${cluster}/${GUARDED} ends the connection of whoever shows a foreign certificate`,
      reproduce: {
        at: `${cluster}/${OUTSIDER}`,
        command: openCommand(target, dialect),
      },
    };
    for (const { handshake, whose } of [
      { handshake: foreign, whose: 'a foreign certificate' },
      { handshake: anonymous, whose: 'no certificate' },
    ]) {
      // An HTTP status is an answer too: it was given to somebody whom nobody vouches for.
      if (handshake.outcome === 'answered' || handshake.status !== undefined) {
        return failed('foreign-leaf-accepted', `Whoever shows ${whose} is let in`, {
          ...details,
          seen: `TLS is up, and the request is answered${handshake.status === undefined ? '' : ` with HTTP status ${handshake.status}`}`,
        });
      }
    }
    if (foreign.chain.length === 0) {
      return inconclusive(
        'control-failed',
        `The target never showed a certificate of its own (${foreign.detail ?? foreign.outcome}): this was no handshake with the mesh`,
      );
    }
    if (foreign.outcome === 'timed-out' || foreign.outcome === 'error' || foreign.outcome === 'unreachable') {
      return inconclusive('control-failed', `Silence is no refusal: ${foreign.detail ?? foreign.outcome}`);
    }
    return passed(`refused after the handshake: ${foreign.detail ?? foreign.outcome}`);
  },
});

interface Trust {
  readonly from: string;
  readonly to: string;
  readonly expected: string;
  /** What the target shows, leaf first, and what the caller's proxy trusts. */
  readonly chain: readonly string[];
  readonly handshake: string;
  readonly bundle: readonly string[];
  readonly ownBundle: readonly string[];
}

export const trust = defineCheck({
  id: 'mtls.trust',
  title: 'The certificate of a workload verifies against what the other cluster trusts',
  level: 'core',
  scope: 'pair',
  familyless: true,
  classes: SERVICE_CLASSES,
  requires: ['mtls'],
  uses: [client, echo, sharedEcho, outsider, mutualTls],
  faults: [{ kind: 'foreign-root', cause: 'foreign-root' }],
  hint: 'Compare the root certificates of both clusters: one common root, or each other’s in both bundles',
  reference: SPIFFE,
  judgeVersion: 2,

  async observe(context): Promise<Trust> {
    const { from, to } = context;
    const identities = identitiesOf(context);
    const [shown, bundle, ownBundle] = await Promise.all([
      shakeHandsWithMesh(context, to, identities),
      identities.trustBundle(from.site(CLIENT)),
      identities.trustBundle(to.site(ECHO)),
    ]);
    return {
      from: from.name,
      to: to.name,
      expected: identities.identityOf(to.site(ECHO)),
      chain: shown.chain,
      handshake: shown.detail ?? shown.outcome,
      bundle,
      ownBundle,
    };
  },

  judge({ from, to, expected, chain, handshake, bundle, ownBundle }) {
    const [leaf] = chain;
    if (leaf === undefined) {
      return inconclusive('control-failed', `${to}/${ECHO} showed no certificate: ${handshake}`);
    }
    if (bundle.length === 0) {
      return inconclusive('probe-failed', `The proxy of ${from}/${CLIENT} names no authority that it trusts`);
    }
    const { uris } = read(leaf);
    if (!uris.includes(expected)) {
      return failed('wrong-identity', `${to}/${ECHO} shows a certificate of somebody else`, {
        expected,
        seen: uris.join(', ') || 'no URI',
      });
    }
    if (!verifies(chain, bundle)) {
      const shownRoots = (bundled: readonly string[]) => bundled.map((pem) => read(pem).subject).join('; ');
      const prints = new Set(bundle.map((pem) => read(pem).fingerprint));
      // A root that is out of use may be common still.
      const vouching = ownBundle.filter((pem) => verifies(chain, [pem]));
      const common = (vouching.length > 0 ? vouching : ownBundle).some((pem) =>
        prints.has(read(pem).fingerprint),
      );
      return failed(
        common ? 'leaf-not-trusted' : 'foreign-root',
        `${from} does not trust the certificate of ${to}/${ECHO}`,
        {
          expected: `a chain to ${shownRoots(bundle)}`,
          seen: `${chain.map((pem) => read(pem).subject || expected).join(', by ')}; ${to} itself trusts ${shownRoots(ownBundle) || 'nobody'}`,
        },
      );
    }
    return passed(`${expected} verifies against ${bundle.length} of ${from}’s authorities`);
  },
});

export const validity = defineCheck({
  id: 'mtls.validity',
  title: 'Certificates of workloads and of their authorities are valid for long enough',
  level: 'core',
  scope: 'cluster',
  familyless: true,
  classes: SERVICE_CLASSES,
  requires: ['mtls'],
  uses: [client, echo, sharedEcho, outsider, mutualTls],
  budgets: { left: CERTIFICATE_LEFT, rootDays: ROOT_DAYS_LEFT },
  faults: [{ kind: 'certificate-ending', cause: 'certificate-ending' }],
  hint: 'Renew the certificate that is named: leaves by the control plane, intermediates and roots by whoever issued them',
  reference: 'RFC 5280, section 4.1.2.5',

  async observe(context) {
    const { cluster } = context;
    const identities = identitiesOf(context);
    const [shown, bundle] = await Promise.all([
      shakeHandsWithMesh(context, cluster, identities),
      identities.trustBundle(cluster.site(ECHO)),
    ]);
    return {
      cluster: cluster.name,
      at: context.now(),
      chain: shown.chain,
      handshake: shown.detail ?? shown.outcome,
      bundle,
    };
  },

  judge({ cluster, at, chain, handshake, bundle }, { left, rootDays }) {
    const [leaf] = chain;
    if (leaf === undefined) {
      return inconclusive('control-failed', `${cluster}/${ECHO} showed no certificate: ${handshake}`);
    }
    const roots = bundle.map(read);
    const isRoot = ({ fingerprint }: Certificate): boolean =>
      roots.some((root) => root.fingerprint === fingerprint);
    const below = chain.map(read).filter((certificate) => !isRoot(certificate));
    const named = below.map((certificate, index) => ({
      name: index === 0 ? 'leaf' : `intermediate ${certificate.subject}`,
      ...certificate,
    }));
    const authorities = roots.map((root) => ({ name: `root ${root.subject}`, ...root }));
    const figures = lifetimes(named, authorities, at);
    const ending = endingSoon(named, authorities, at, { left, rootDays });
    if (ending) return ending;
    return passed(`leaf, ${below.length - 1} intermediates and ${roots.length} roots`, figures);
  },
});

/** Below it nothing is current (RFC 8996 ends TLS 1.0 and 1.1). */
const CURRENT_VERSIONS = ['TLSv1.2', 'TLSv1.3'];
const isPostQuantum = (group: string): boolean => /MLKEM|KYBER/i.test(group);

export const handshakes = defineCheck({
  id: 'mtls.handshakes',
  title: 'Proxies agree on a current version of TLS; its key exchange is named',
  level: 'core',
  scope: 'cluster',
  familyless: true,
  classes: SERVICE_CLASSES,
  requires: ['mtls'],
  dependsOn: ['mtls.identity'],
  uses: [client, echo, sharedEcho, outsider, mutualTls],
  withoutFaults: 'The version is a setting of the proxies, which no injector changes',
  hint: 'Look at the minimum version of TLS in the configuration of the mesh',
  reference: 'RFC 8446, RFC 8996; FIPS 203 (ML-KEM)',

  async observe(context) {
    const { cluster } = context;
    const identities = identitiesOf(context);
    const [probed, counted] = await Promise.all([
      shakeHandsWithMesh(context, cluster, identities),
      identities.handshakes(cluster.site(ECHO)),
    ]);
    const { version, group, detail = probed.outcome } = probed;
    return { cluster: cluster.name, version, group, detail, counted };
  },

  judge({ cluster, version, group, detail, counted }) {
    if (version === undefined) {
      return inconclusive('control-failed', `${cluster}/${ECHO} agreed on no version of TLS: ${detail}`);
    }
    const versions = [
      version,
      ...Object.keys(counted).filter((name) => name.startsWith('TLSv') || name.startsWith('SSL')),
    ];
    const old = versions.find((name) => !CURRENT_VERSIONS.includes(name));
    if (old !== undefined) {
      return failed('tls-too-old', `${cluster}/${ECHO} still speaks ${old}`, {
        expected: CURRENT_VERSIONS.join(' or '),
        seen: versions.join(', '),
      });
    }
    const groups = Object.entries(counted).filter(([name]) => !versions.includes(name));
    const all = [...new Set([...(group === undefined ? [] : [group]), ...groups.map(([name]) => name)])];
    const quantum = all.some(isPostQuantum) ? 'post-quantum' : 'none of them post-quantum';
    const shown = Object.entries(counted).map(([name, count]) => `${name} ${count}`);
    return passed(
      `${version} with ${group ?? 'an unnamed group'} when probed (${quantum}); its own connections: ${shown.join(', ') || 'not counted'}`,
    );
  },
});

const MARKED_PAYLOAD = 1_000;

async function sendMarked(
  context: PairContext,
  marker: string,
  address: string,
): Promise<readonly Exchange[]> {
  return callUntilAllAnswer(
    context.from.site(CLIENT),
    { protocol: 'http', address, port: PORTS.service, nonce: marker, payload: MARKED_PAYLOAD },
    [context.to.name],
  );
}

export const wire = defineCheck({
  id: 'mtls.wire',
  title: 'What crosses to another cluster through the service is never readable, even before the tunnel',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['mtls', 'share-service', 'l3.pod', 'gateway.probe', 'wan.capture'],
  dependsOn: ['mtls.identity'],
  uses: [client, echo, sharedEcho, mutualTls],
  mostlyWaits: true,
  faults: [],
  withoutFaults: 'mtls.plaintext shows that clear text is refused where it arrives',
  hint: 'Does a proxy stand beside caller and server? One without sends what it is given',
  reference: 'RFC 7258',

  async observe(context) {
    const { from, to } = context;
    const marker = `mcnet-mtls-${context.nonce()}`;
    const plain = `mcnet-plain-${context.nonce()}`;
    const target: Site = to.site(ECHO);
    const capture = (text: string) =>
      from.capture({
        interface: from.gateway.clusterInterface,
        filter: `host ${target.address}`,
        marker: text,
      });
    const captures = await Promise.all([capture(marker), capture(plain)]);
    const marked = await sendMarked(context, marker, addressOf(from, context, echoService));
    // The control takes the same way outside the mesh.
    const control = await from.site(CLIENT).exchange([
      {
        protocol: 'http',
        address: target.address,
        port: PORTS.http,
        nonce: plain,
        payload: MARKED_PAYLOAD,
        timeoutMs: CALL_TIMEOUT_MS,
      },
    ]);
    const [wired, plainly] = await Promise.all(captures.map((one) => one.stop()));
    return {
      from: from.name,
      to: to.name,
      target: target.address,
      wired: wired as CaptureSummary,
      plainly: plainly as CaptureSummary,
      crossed: marked.filter(
        ({ outcome, answeredBy }) => outcome === 'answered' && answeredBy?.cluster === to.name,
      ).length,
      controlled: control.some(({ outcome }) => outcome === 'answered'),
    };
  },

  judge({ from, to, target, wired, plainly, crossed, controlled }) {
    if (wired.markerPackets > 0) {
      return failed('clear-text-on-wan', `What ${from} sends to ${to} can be read on the way`, {
        expected: 'the marker never appears behind the gateway of the caller',
        seen: `${wired.markerPackets} packets with the marker`,
        reproduce: { at: `${from}/gateway`, command: `tcpdump -A -n host ${target}` },
      });
    }
    if (crossed === 0) return inconclusive('control-failed', `No marked message was answered by ${to}`);
    if (!controlled || plainly.markerPackets === 0) {
      return inconclusive(
        'control-failed',
        'The capture did not see the marker of the control in clear text either',
      );
    }
    return passed(
      `${crossed} marked messages answered by ${to}, none readable; the control was, in ${plainly.markerPackets} packets`,
      { 'seen behind the gateway': { value: wired.bytes, unit: 'bytes' } },
    );
  },
});

const LOAD_PER_SECOND = 20;
/** Only what is lost counts here, not what is late: callers wait. */
const LOAD_TIMEOUT_MS = 5_000;
const LOAD_LIMIT_MS = 150_000;
/** Load before the rotation and after the newcomer has answered, so that both sides of it are seen. */
const STEADY_MS = 2_000;
const LOADS = ['new', 'keep-alive'] as const;

interface Rotation {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly held: boolean;
  /** What a workload of before shows, what one that started afterwards does, and what the caller's proxy trusts. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly bundle: readonly string[];
  /** The new workload answered the caller. */
  readonly met: boolean;
  readonly metAfterMs: number;
  readonly load: readonly Sample[];
}

export const rotation = defineCheck({
  id: 'mtls.rotation',
  title: 'An intermediate is rotated under load: nothing is lost, and what the new one signs is trusted',
  level: 'extended',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['mtls', 'share-service', 'endpoint-discovery'],
  dependsOn: ['mtls.trust'],
  uses: [client, echo, sharedEcho, ...discoverable, outsider, mutualTls],
  exclusive: 'fleet',
  budgets: { discovery: DISCOVERY_MS },
  withoutFaults: 'It injects its own: the control plane of the called cluster gets another intermediate',
  hint: 'Both intermediates must lead to a root that every cluster trusts; compare the chains that both workloads show (`openssl s_client -showcerts`) with the roots that the proxy of the caller has',
  reference: 'https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/',
  timeoutMs: 240_000,

  async observe(context, { discovery }): Promise<Rotation> {
    const { from, to } = context;
    const way = wayOfPair(context);
    const service = discoverableService(way);
    const identities = identitiesOf(context);
    const caller = from.site(CLIENT);
    const address = addressOf(from, context, echoService);
    const [shown, bundle] = await Promise.all([
      shakeHands(to, to.site(ECHO), echoService, identities),
      identities.trustBundle(caller),
    ]);
    const samplers = await Promise.all(
      LOADS.map((connections) =>
        caller.startSampling({
          address,
          port: PORTS.service,
          ratePerSecond: LOAD_PER_SECOND,
          connections,
          timeoutMs: LOAD_TIMEOUT_MS,
          durationMs: LOAD_LIMIT_MS,
        }),
      ),
    );
    await context.sleep(STEADY_MS);
    const fault = await context.disturb({ kind: 'intermediate-rotated', cluster: to.name });
    const spec = newcomer(from.name, 'signed', way);
    const signed = await context.startWorkload(spec, to.name);
    const found = await context.converge(
      async () =>
        (
          await caller.exchange([
            {
              protocol: 'http',
              address: addressOf(from, context, service),
              port: PORTS.service,
              timeoutMs: CALL_TIMEOUT_MS,
            },
          ])
        )[0],
      {
        succeeded: (exchange) => exchange?.answeredBy?.workload === spec.name,
        budgetMs: discovery,
        successes: 1,
      },
    );
    const renewed = await shakeHands(to, signed, service, identities);
    await context.sleep(STEADY_MS);
    const load = await Promise.all(samplers.map((one) => caller.stopSampling(one)));
    await context.stopWorkload(signed);
    await fault.mend();
    return {
      from: from.name,
      to: to.name,
      address,
      held: fault.held,
      before: shown.chain,
      after: renewed.chain,
      bundle,
      met: found.converged,
      metAfterMs: found.elapsedMs,
      load: load.flatMap(({ samples }) => samples),
    };
  },

  judge({ from, to, address, held, before, after, bundle, met, metAfterMs, load }, { discovery }) {
    const lost = load.filter(({ outcome }) => outcome !== 'answered').length;
    const byTarget = load.filter(({ outcome, cluster }) => outcome === 'answered' && cluster === to).length;
    const figures: Figures = {
      lost: { value: lost, unit: `of ${load.length} requests` },
      ...(met && { 'new workload found after': { value: metAfterMs, unit: 'ms' } }),
    };
    const issuerOf = (chain: readonly string[]): string | undefined => chain[1] && read(chain[1]).fingerprint;
    const [old, next] = [issuerOf(before), issuerOf(after)];
    if (!held || old === undefined || next === undefined || next === old) {
      return inconclusive(
        'fault-did-not-hold',
        `What started in ${to} afterwards shows no other intermediate than what ran before`,
        { figures },
      );
    }
    if (byTarget === 0) {
      return inconclusive('control-failed', `${to} answered nothing of the load: nothing crossed`, {
        figures,
      });
    }
    if (!verifies(after, bundle)) {
      return failed('leaf-not-trusted', `${from} does not trust what the new intermediate of ${to} signs`, {
        expected: `a chain to ${bundle.map((pem) => read(pem).subject).join('; ')}`,
        seen: after.map((pem) => read(pem).subject || 'leaf').join(', by '),
        figures,
      });
    }
    const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
    if (!met) {
      return failed(
        'leaf-not-trusted',
        `What the new intermediate of ${to} vouches for never answers ${from}`,
        {
          expected: `an answer within ${discovery / 1_000} s`,
          seen: 'none',
          figures,
          reproduce,
        },
      );
    }
    if (lost > 0) {
      return failed('requests-lost', `Requests from ${from} are lost while ${to} gets another intermediate`, {
        expected: 'none is lost',
        seen: `${lost} of ${load.length}`,
        figures,
        reproduce,
      });
    }
    return passed(`${load.length} requests, none lost; the new workload is trusted`, figures);
  },
});

export const mtls: Suite = {
  id: 'mtls',
  title: 'Workloads prove to each other who they are, and nothing else is let in',
  checks: [identity, principal, plaintext, foreignLeaf, trust, validity, handshakes, wire, rotation],
};
