/** The authority that signs for the proxies of a cluster: https://developer.hashicorp.com/consul/api-docs/connect/ca. */
import { X509Certificate } from 'node:crypto';
import type { KubernetesCluster } from '../../model/cluster.ts';
import { type Request, tell } from './server.ts';

export interface AuthorityConfiguration {
  readonly Provider: string;
  readonly Config: Readonly<Record<string, unknown>>;
}

const CONFIGURATION = '/v1/connect/ca/configuration';

export async function authorityOf(cluster: KubernetesCluster): Promise<AuthorityConfiguration> {
  const [text = '{}'] = await tell(cluster, [{ method: 'GET', path: CONFIGURATION }]);
  const { Provider, Config } = JSON.parse(text) as AuthorityConfiguration;
  return { Provider, Config };
}

/** @param abrupt the root before vouches for none that comes of it */
export const authorityRequest = (authority: AuthorityConfiguration, abrupt = false): Request => ({
  method: 'PUT',
  path: CONFIGURATION,
  body: { ...authority, ForceWithoutCrossSigning: abrupt },
});

const KEY_BITS = [256, 384] as const;

/** The same with another root: a server makes a new one for another kind of key. Proxies keep keys of their own kind. */
export const withAnotherRoot = ({ Provider, Config }: AuthorityConfiguration): AuthorityConfiguration => ({
  Provider,
  Config: {
    ...Config,
    PrivateKeyType: 'ec',
    PrivateKeyBits: KEY_BITS.find((bits) => bits !== Number(Config['PrivateKeyBits'] ?? KEY_BITS[0])),
  },
});

interface Roots {
  readonly Roots: readonly { readonly Active: boolean; readonly RootCert: string }[];
}

/** PEM of the root that signs now. */
export async function rootOf(cluster: KubernetesCluster): Promise<string | undefined> {
  const [text = '{}'] = await tell(cluster, [{ method: 'GET', path: '/v1/connect/ca/roots' }]);
  return (JSON.parse(text) as Roots).Roots.find(({ Active }) => Active)?.RootCert;
}

/** Both PEM. Pure. */
export function isSignedBy(certificate: string, root: string): boolean {
  const [below, above] = [certificate, root].map((pem) => new X509Certificate(pem)) as [
    X509Certificate,
    X509Certificate,
  ];
  return below.checkIssued(above) && below.verify(above.publicKey);
}

/** Whether one of these is the same certificate, whatever its text. Pure. */
export const includesCertificate = (bundle: readonly string[], pem: string): boolean => {
  const { fingerprint256 } = new X509Certificate(pem);
  return bundle.some((one) => new X509Certificate(one).fingerprint256 === fingerprint256);
};
