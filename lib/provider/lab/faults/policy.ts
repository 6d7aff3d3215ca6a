/** Policies that lose their effect, or gain one, in one cluster only. */
import { firstOf } from '../../../model/cidr.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { InternalError } from '../../../model/errors.ts';
import type { PolicyIntent } from '../../../model/intent.ts';
import { writeAtomically } from '../../../system/files.ts';
import type { LabCluster } from '../cluster.ts';
import { applyNft } from '../namespace.ts';
import { POLICY_CHAIN, POLICY_TABLE_PREFIX, tableName } from '../policy.ts';
import type { FaultOf, Injection } from '../../../model/injection.ts';
import { addTable, clusterOf, faultFile, listTable, newFaultId, ping, prepareMending } from './injector.ts';
import { workloadNetns } from '../names.ts';

const placeOf = ({ name, gateway }: LabCluster) => ({ netns: gateway.netns, cluster: name });

/** Removes the rules and keeps the tables, as an operator's `nft flush table` does. */
export async function flushPolicies(injection: Injection<FaultOf<'policy-flushed'>>): Promise<Disturbance> {
  const cluster = clusterOf(injection.fleet, injection.fault.cluster);
  const { gateway, policies } = cluster;
  const names = policies.tables.map(tableName);
  const saved = await Promise.all(
    names.map(async (name) => ({ name, rules: rulesIn(await listTable(gateway.netns, 'inet', name)) })),
  );
  const id = newFaultId();
  const scripts = await Promise.all(
    saved
      .filter(({ rules }) => rules.length > 0)
      .map(async ({ name, rules }) => {
        const file = faultFile(injection.fleet, cluster.name, `${id}-${name}.nft`);
        const chain = `inet ${name} ${POLICY_CHAIN}`;
        await writeAtomically(file, rules.map((rule) => `add rule ${chain} ${rule}\n`).join(''), 0o600);
        // Only into a chain that is still empty: one that was written anew meanwhile is as it should be.
        return [
          `if nft list chain ${chain} 2> /dev/null | grep -q hook && ! nft list chain ${chain} | grep -qE '${RULE}'; then`,
          `  nft -f ${file}`,
          'fi',
          `rm -f ${file}`,
          '',
        ].join('\n');
      }),
  );
  const mend = await prepareMending(injection, placeOf(cluster), scripts.join(''));
  await applyNft(gateway.netns, names.map((name) => `flush table inet ${name}\n`).join(''));
  return {
    async tookHold() {
      const inForce = await Promise.all(policies.tables.map((table) => policies.isInForce(table)));
      return inForce.length > 0 && !inForce.includes(true);
    },
    mend,
  };
}

/** What every rule of a policy ends with. */
const RULE = ' (accept|drop)$';

/** Rules as nft lists them; the sets that they use stay in the table. */
function rulesIn(listing: string | undefined): string[] {
  return (listing ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => new RegExp(RULE).test(line));
}

/** Lines for a shell: without the flag the kernel heeds the tables again. Those that slept before do so on. */
const renderWaking = (pattern: string, exceptions: readonly string[]): string =>
  [
    `nft list tables inet | grep -oE '${pattern}$' | while read -r table; do`,
    `  case " ${exceptions.join(' ')} " in *" $table "*) ;; *) nft "add table inet $table" ;; esac`,
    'done',
    '',
  ].join('\n');

/** Puts tables to sleep: they are listed with all their rules, and the kernel does not heed them. */
async function putToSleep(cluster: LabCluster, names: readonly string[]): Promise<void> {
  await applyNft(
    cluster.gateway.netns,
    names.map((name) => `add table inet ${name} { flags dormant; }\n`).join(''),
  );
}

const sleeps = async (cluster: LabCluster, name: string): Promise<boolean> =>
  ((await listTable(cluster.gateway.netns, 'inet', name)) ?? '').includes('flags dormant');

async function sleepers(cluster: LabCluster, names: readonly string[]): Promise<string[]> {
  const asleep = await Promise.all(names.map((name) => sleeps(cluster, name)));
  return names.filter((_, index) => asleep[index]);
}

/** Governs nobody: shows what becomes of a policy that is accepted now. */
const SAMPLE: PolicyIntent = {
  kind: 'policy',
  name: 'sample',
  namespace: 'mcnet-fault-sample',
  target: {},
  direction: 'ingress',
  allow: [],
};

export async function ignorePolicies(injection: Injection<FaultOf<'policy-ignored'>>): Promise<Disturbance> {
  const cluster = clusterOf(injection.fleet, injection.fault.cluster);
  const { policies } = cluster;
  const namesNow = (): string[] => policies.tables.map(tableName);
  const wake = renderWaking(`${POLICY_TABLE_PREFIX}.*`, await sleepers(cluster, namesNow()));
  const mend = await prepareMending(injection, placeOf(cluster), wake);
  policies.ignored = true;
  await putToSleep(cluster, namesNow());
  return {
    async tookHold() {
      await policies.add(SAMPLE);
      try {
        const names = namesNow();
        return (await sleepers(cluster, names)).length === names.length;
      } finally {
        await policies.remove(SAMPLE);
      }
    },
    async mend() {
      policies.ignored = false;
      await mend();
    },
  };
}

export async function loosenPolicy(injection: Injection<FaultOf<'policy-loosened'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const name = tableName({ namespace: fault.namespace, direction: 'ingress' });
  const wake = renderWaking(name, await sleepers(cluster, [name]));
  const mend = await prepareMending(injection, placeOf(cluster), wake);
  await putToSleep(cluster, [name]);
  return { tookHold: () => sleeps(cluster, name), mend };
}

export async function addPolicy(injection: Injection<FaultOf<'policy-added'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const governed = cluster.workloads.filter(({ spec }) => spec.namespace === fault.namespace);
  const [target] = governed;
  const caller = fleet.clusters.flatMap(({ workloads }) => workloads).find((one) => one !== target);
  if (!target || !caller)
    throw new InternalError(`namespace ${fault.namespace} of ${cluster.name} has no workload to refuse`);
  const refusals = fleet.families.map((family) => {
    const addresses = governed.flatMap((workload) => workload.addresses[family] ?? []).join(', ');
    return `    ${family === 'ipv4' ? 'ip' : 'ip6'} daddr { ${addresses} } counter drop`;
  });
  const chain = [
    '  chain forward {',
    // Before the policies that stand: it is not theirs to say what this one refuses.
    '    type filter hook forward priority filter - 1; policy accept;',
    '    ct state established,related accept',
    ...refusals,
    '  }',
  ];
  const { mend, counted } = await addTable(injection, placeOf(cluster), 'inet', chain.join('\n'));
  return {
    async tookHold() {
      const netns = workloadNetns(fleet.run, caller.cluster, caller.spec);
      const { answered } = await ping(netns, ['-c', '1', '-W', '0.5', firstOf(target.addresses)]);
      return !answered && (await counted());
    },
    mend,
  };
}
