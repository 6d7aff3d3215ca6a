/** How control planes get to know other clusters. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { systemClock } from '../../system/clock.ts';
import { secretText } from '../common/clusters.ts';
import { READER_TOKEN, systemReference } from './names.ts';
import { type RemoteAccess, readerToken, remoteSecret } from './objects.ts';

/** Kubernetes issues the token of such a Secret within moments; a busy machine has more of them. */
const TOKEN_LIMIT_MS = 60_000;
const POLL_MS = 250;

/** What another control plane needs to watch this cluster. @throws UserError when Kubernetes issues no token */
async function accessTo(cluster: KubernetesCluster): Promise<RemoteAccess> {
  await cluster.objects.apply([readerToken]);
  const end = systemClock.monotonic() + TOKEN_LIMIT_MS;
  for (;;) {
    const secret = await cluster.objects.read(systemReference('v1', 'Secret', READER_TOKEN));
    const token = secretText(secret, 'token');
    const authority = (secret?.data as Record<string, string> | undefined)?.['ca.crt'];
    if (token !== undefined && authority !== undefined) {
      return { cluster: cluster.name, server: cluster.apiServer, authority, token };
    }
    if (systemClock.monotonic() > end) {
      throw new UserError(`${cluster.name} issues no token for the account that other control planes use`, {
        where: `Secret istio-system/${READER_TOKEN}`,
        remedy: 'Look at the log of kube-controller-manager there',
      });
    }
    await systemClock.sleep(POLL_MS);
  }
}

/** Lets a control plane watch these clusters. */
export async function introduce(
  primary: KubernetesCluster,
  others: readonly KubernetesCluster[],
): Promise<void> {
  await Promise.all(
    others.map(async (other) => primary.objects.apply([remoteSecret(await accessTo(other))])),
  );
}
