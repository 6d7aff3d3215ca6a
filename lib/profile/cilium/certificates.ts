/** Certificates by which the clusters of a mesh know each other; never their keys. */
import type { KubernetesCluster, KubernetesObject, NamedCertificate } from '../../model/cluster.ts';
import { secretText } from '../common/clusters.ts';
import { apiServerDeployment, containersOf } from './configuration.ts';
import {
  API_SERVER,
  AUTHORITY,
  CERTIFICATES,
  ETCD_CERTIFICATES,
  REMOTE_CLUSTERS,
  STORE_CONTAINER,
  systemReference,
} from './names.ts';

/** Where a certificate lies. */
interface Place {
  readonly secret: string;
  readonly key: string;
}

const CERTIFICATE = 'tls.crt';
const ENTRY_KEYS = { certificate: 'cert-file', authority: 'trusted-ca-file' } as const;
type Role = keyof typeof ENTRY_KEYS;

/**
 * The Secret that the file of an entry comes from, by where the chart's volumes put each: those of an etcd of the user's own,
 * those that all entries share, or what the user gave for this entry alone. Pure.
 * @param of the Secret that the entry stands in
 */
export function placeOf(entry: string, role: Role, of: string): Place | undefined {
  const line = new RegExp(String.raw`^\s*${ENTRY_KEYS[role]}:\s*['"]?([^\s'"]+)`, 'm').exec(entry);
  const [folder, file] = (line?.[1] ?? '').split('/').slice(-2);
  if (file === undefined) return undefined;
  const key = role === 'authority' ? 'ca.crt' : CERTIFICATE;
  if (folder === 'etcd-secrets') return { secret: ETCD_CERTIFICATES, key: file };
  if (file.startsWith('common-')) return { secret: CERTIFICATES.remote, key };
  if (file.startsWith('local-')) return { secret: CERTIFICATES.local, key };
  return { secret: of, key: file };
}

/** Entries of a Secret by which clusters are found: what else lies there are files of theirs. */
function entriesOf(secret: KubernetesObject | undefined): string[] {
  const keys = Object.keys(secret?.['data'] ?? {});
  return keys.flatMap((key) => {
    const text = secretText(secret, key) ?? '';
    return /^endpoints:/m.test(text) ? [text] : [];
  });
}

/**
 * Every place where there is to be a certificate, as the mesh is configured: of the server by which others hear of this
 * cluster, where it has one, and of whoever an entry says to connect with them. Pure.
 */
export function expectedPlaces(
  deployment: KubernetesObject | undefined,
  remoteClusters: readonly KubernetesObject[],
): { readonly certificates: readonly Place[]; readonly authorities: readonly Place[] } {
  const servesItself = containersOf(deployment).some(({ name }) => name === STORE_CONTAINER);
  const own = servesItself
    ? [CERTIFICATES.server, CERTIFICATES.admin].map((secret) => ({ secret, key: CERTIFICATE }))
    : [];
  const named = (role: Role): Place[] =>
    remoteClusters.flatMap((secret) =>
      entriesOf(secret).flatMap((entry) => placeOf(entry, role, secret.metadata.name) ?? []),
    );
  const once = (places: readonly Place[]): Place[] => [
    ...new Map(places.map((place) => [nameOf(place), place])).values(),
  ];
  return { certificates: once([...own, ...named('certificate')]), authorities: once(named('authority')) };
}

/** That of a Secret for one certificate says it all. */
const nameOf = ({ secret, key }: Place): string => (key === CERTIFICATE ? secret : `${secret}/${key}`);

/** Where the server of a cluster answers callers of its own. Pure. */
export function serverAt(service: KubernetesObject | undefined): NamedCertificate['shownAt'] {
  const { clusterIPs = [], ports = [] } = (service?.['spec'] ?? {}) as {
    readonly clusterIPs?: readonly string[];
    readonly ports?: readonly { readonly port: number }[];
  };
  const [first] = ports;
  const ipv4 = clusterIPs.find((address) => address.includes('.'));
  const ipv6 = clusterIPs.find((address) => address.includes(':'));
  if (!first || (ipv4 ?? ipv6) === undefined) return undefined;
  return {
    addresses: { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) },
    port: first.port,
  };
}

export async function certificatesOf(cluster: KubernetesCluster): Promise<readonly NamedCertificate[]> {
  const secretNamed = (name: string) => cluster.objects.read(systemReference('v1', 'Secret', name));
  const [deployment, service, shared, ...remoteClusters] = await Promise.all([
    apiServerDeployment(cluster),
    cluster.objects.read(systemReference('v1', 'Service', API_SERVER)),
    secretNamed(AUTHORITY),
    ...Object.values(REMOTE_CLUSTERS).map(secretNamed),
  ]);
  const expected = expectedPlaces(
    deployment,
    remoteClusters.filter((secret) => secret !== undefined),
  );
  const read = async (place: Place): Promise<NamedCertificate> => {
    const pem = secretText(await secretNamed(place.secret), place.key);
    const shownAt = place.secret === CERTIFICATES.server ? serverAt(service) : undefined;
    return { name: nameOf(place), ...(pem !== undefined && { pem }), ...(shownAt && { shownAt }) };
  };
  const certificates = await Promise.all(expected.certificates.map(read));
  const authority = secretText(shared, 'ca.crt');
  // Who has certificates made otherwise, by cert-manager for one, may have no such Secret: then each says whom it trusts.
  const authorities =
    authority === undefined
      ? await Promise.all(expected.authorities.map(read))
      : [{ name: AUTHORITY, pem: authority }];
  return [...certificates, ...authorities];
}
