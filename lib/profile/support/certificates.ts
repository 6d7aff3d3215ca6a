/** Certificate authorities of a mesh: one root, an intermediate for each cluster; and, for faults, leaves of strangers. */
import { KeyObject, createPrivateKey, webcrypto } from 'node:crypto';

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly from: Date;
  readonly until: Date;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
export const DAY_MS = 24 * 60 * 60 * 1_000;
/** Clocks of clusters may differ a little (Istio backdates its own leaves by two minutes). */
const BACKDATED_MS = 5 * 60 * 1_000;
/** RFC 5280, section 4.1.2.2: at most 20 octets, positive. */
const SERIAL_BYTES = 16;

const LEAF_DAYS = 1;

export const validFor = (days: number, now: Date): Validity => ({
  from: new Date(now.getTime() - BACKDATED_MS),
  until: new Date(now.getTime() + days * DAY_MS),
});

/** Loaded when the first certificate is made: half a second that no other run should pay. */
async function x509() {
  // The library's container of algorithms wants the metadata API.
  await import('reflect-metadata');
  // It is CommonJS, and a bundler gives only the default export to who imports that dynamically.
  const { default: library } = await import('@peculiar/x509');
  library.cryptoProvider.set(webcrypto);
  return library;
}

/** Self-signed. */
export async function createRoot(name: string, validity: Validity): Promise<Authority> {
  const { X509CertificateGenerator, BasicConstraintsExtension, KeyUsagesExtension, KeyUsageFlags } =
    await x509();
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=${name},O=mcnet-conformance`,
    notBefore: validity.from,
    notAfter: validity.until,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: pemOf(keys.privateKey) };
}

/** An authority below another. */
export async function createIntermediate(
  name: string,
  issuer: Authority,
  validity: Validity,
): Promise<Authority> {
  const library = await x509();
  const {
    X509CertificateGenerator,
    X509Certificate,
    BasicConstraintsExtension,
    KeyUsagesExtension,
    KeyUsageFlags,
  } = library;
  const keys = await newKeys();
  const above = new X509Certificate(issuer.certificate);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: `CN=${name},O=mcnet-conformance`,
    issuer: above.subject,
    notBefore: validity.from,
    notAfter: validity.until,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await keyOf(issuer.key),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(
        KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature,
        true,
      ),
      await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await library.AuthorityKeyIdentifierExtension.create(above.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: pemOf(keys.privateKey) };
}

/** A workload's certificate with this URI as its only name, for both ends of a connection. */
export async function createLeaf(uri: string, issuer: Authority, now: Date): Promise<Authority> {
  const library = await x509();
  const keys = await newKeys();
  const { from, until } = validFor(LEAF_DAYS, now);
  const certificate = await library.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    issuer: new library.X509Certificate(issuer.certificate).subject,
    notBefore: from,
    notAfter: until,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await keyOf(issuer.key),
    extensions: [
      new library.BasicConstraintsExtension(false, undefined, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.digitalSignature, true),
      new library.ExtendedKeyUsageExtension([
        library.ExtendedKeyUsage.serverAuth,
        library.ExtendedKeyUsage.clientAuth,
      ]),
      // SPIFFE X.509-SVID, section 4.1: exactly one URI; critical, since the subject is empty (RFC 5280).
      new library.SubjectAlternativeNameExtension([{ type: 'url', value: uri }], true),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: pemOf(keys.privateKey) };
}

const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

function newSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(SERIAL_BYTES));
  // Positive, and no leading zero that an encoder would have to take away.
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const pemOf = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ format: 'pem', type: 'pkcs8' }).toString();

function keyOf(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}
