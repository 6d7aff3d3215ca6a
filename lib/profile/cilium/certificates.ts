/** Certificates by which the clusters of a mesh know each other; never their keys. */
import type { KubernetesCluster, NamedCertificate } from '../../model/cluster.ts';
import { secretText } from '../common/clusters.ts';
import { AUTHORITY, CERTIFICATES, systemReference } from './names.ts';

export async function certificatesOf(cluster: KubernetesCluster): Promise<readonly NamedCertificate[]> {
  const wanted = [
    ...CERTIFICATES.map((name) => ({ name, key: 'tls.crt' })),
    { name: AUTHORITY, key: 'ca.crt' },
  ];
  const found = await Promise.all(
    wanted.map(async ({ name, key }) => {
      const pem = secretText(await cluster.objects.read(systemReference('v1', 'Secret', name)), key);
      return pem === undefined ? [] : [{ name, pem }];
    }),
  );
  return found.flat();
}
