/** The root of a mesh, and an intermediate for each cluster's control plane. */
import path from 'node:path';
import type { KubernetesCluster, Ledger } from '../../model/cluster.ts';
import { makePrivateFolder, runtimeFolder } from '../../system/files.ts';
import { type Authority, DAY_MS, createIntermediate, createRoot, validFor } from '../support/certificates.ts';
import { type AuthorityName, ENDING_AUTHORITY } from './names.ts';
import { certificateAuthority } from './objects.ts';

const ROOT_DAYS = 3_650;
const INTERMEDIATE_DAYS = 730;
/** More than a leaf lasts (a day), and next to nothing of its lifetime. */
const ENDING_DAYS = 3;

const folderOf = (run: string): string => path.join(runtimeFolder(run), 'istio');

/** Where files of an installation are, for as long as the run. */
export async function makeFolder(run: string, ledger: Ledger): Promise<void> {
  const folder = folderOf(run);
  await ledger.add({ description: `folder ${folder}`, undo: { kind: 'remove-path', path: folder } });
  await makePrivateFolder(folder);
}

/** Its key is kept nowhere: what it has to sign is signed when the mesh is made. */
export const newRoot = (run: string, now: Date): Promise<Authority> =>
  createRoot(`mesh ${run}`, validFor(ROOT_DAYS, now));

export const operatorFile = (run: string, cluster: string): string =>
  path.join(folderOf(run), `${cluster}.json`);

/** Gives a control plane its own intermediates: the one it signs with, which it reads when it starts, and those for later. */
export async function giveIntermediates(
  cluster: KubernetesCluster,
  root: Authority,
  { now, names }: { now: Date; names: readonly AuthorityName[] },
): Promise<void> {
  const begun = new Date(now.getTime() - (INTERMEDIATE_DAYS - ENDING_DAYS) * DAY_MS);
  const secrets = names.map(async (name) => {
    const validity = validFor(INTERMEDIATE_DAYS, name === ENDING_AUTHORITY ? begun : now);
    const intermediate = await createIntermediate(`istiod of ${cluster.name}`, root, validity);
    return certificateAuthority(name, root, intermediate);
  });
  await cluster.objects.apply(await Promise.all(secrets));
}
