/** What is noted before something is broken, for a process that has nothing else: run with a kubectl that tells of itself. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { Peers } from '../../../lib/profile/consul/clusters.ts';
import { consulInjectors } from '../../../lib/profile/consul/faults.ts';
import { Shares } from '../../../lib/profile/consul/share.ts';
import type { Fleet, KubernetesCluster, UndoAction } from '../../../lib/model/cluster.ts';
import type { FaultSpec } from '../../../lib/model/fault.ts';

/** Runs what it is given as the pod would, with a curl that says what it was asked. */
const KUBECTL = `#!/bin/sh
while [ "$1" != exec ]; do [ "$1" = --context ] && context=$2; shift; done

curl() {
  printf '%s: %s' "$context" "$*" >> "$LOG"
  case "$*" in *@-*) printf ' < %s' "$(cat)" >> "$LOG";; esac
  echo >> "$LOG"
  case "$*" in */peering/token) echo '{"PeeringToken":"fresh"}';; esac
}
input=/dev/null
while [ "$1" != -ec ]; do [ "$1" = --stdin ] && input=/dev/stdin; shift; done
exec < $input
eval "$2"
`;

const cluster = (name: string): KubernetesCluster =>
  ({
    kind: 'kubernetes',
    name,
    context: name,
    kubeconfig: '/k',
    workloads: [],
  }) as unknown as KubernetesCluster;

t.test('a peering that was deleted is made again by a process that was not there', async (t) => {
  const folder = t.testdir();
  const [kubectl, log] = [path.join(folder, 'kubectl'), path.join(folder, 'log')] as const;
  writeFileSync(kubectl, KUBECTL);
  chmodSync(kubectl, 0o755);
  const fleet = {
    clusters: ['east', 'west'].map(cluster),
    topology: { kind: 'full-mesh', hub: 'east', members: [{ name: 'east' }, { name: 'west' }] },
  } as unknown as Fleet;
  const peers = new Peers();
  peers.follow(fleet);
  const injector = consulInjectors(peers, new Shares(peers), { tools: { kubectl } }).find(({ kinds }) =>
    kinds.includes('peering-deleted'),
  );
  const noted: UndoAction[] = [];
  const fault: FaultSpec = { kind: 'peering-deleted', at: 'west', cluster: 'east' };
  const ledger = { add: async ({ undo }: { undo: UndoAction }) => void noted.push(undo) };
  // Nothing can be broken in these clusters; what is noted stands before that.
  await t.rejects(async () => injector?.inject(fault, fleet, ledger));
  const [undo] = noted;
  if (undo?.kind !== 'run') throw new Error('nothing is noted that could be run');
  const [file, ...args] = undo.command;
  execFileSync(file, args, { env: { ...process.env, LOG: log } });
  const server = 'http://127.0.0.1:8500/v1';
  t.strictSame(readFileSync(log, 'utf8').trim().split('\n'), [
    `east: -sS --fail -m 10 -X DELETE ${server}/peering/west`,
    `west: -sS --fail -m 10 -X DELETE ${server}/peering/east`,
    `east: -sS --fail -m 10 -X POST --data-binary {"PeerName":"west"} ${server}/peering/token`,
    `west: -sS --fail -m 10 -X POST --data-binary @- ${server}/peering/establish < {"PeerName":"east","PeeringToken":"fresh"}`,
  ]);
});
