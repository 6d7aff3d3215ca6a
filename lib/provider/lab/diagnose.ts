/** What a person would look at first when a cluster of the lab misbehaves. */
import { messageOf } from '../../model/errors.ts';
import type { Workload } from '../../model/cluster.ts';
import { keyOf } from '../../model/workload.ts';
import { filesIn } from '../../system/files.ts';
import type { LabGateway } from './gateway.ts';
import { runInNetns } from './namespace.ts';
import { agentPath, workloadNetns } from './names.ts';
import { logTail } from './processes.ts';

const GATEWAY_QUESTIONS: readonly (readonly [file: string, script: string])[] = [
  ['addresses.txt', 'ip -s address show'],
  ['routes.txt', 'ip route show table all; ip -6 route show table all'],
  ['rules.txt', 'ip rule show; ip -6 rule show'],
  ['neighbours.txt', 'ip neighbour show'],
  ['bridge.txt', 'bridge link show'],
  ['nftables.txt', 'nft list ruleset'],
  ['sockets.txt', 'ss -tunlp'],
];
const WORKLOAD_SCRIPT = 'ip -s address show; ip route show; ip -6 route show; ip neighbour show';

/** @returns text by file name; a question that could not be answered holds the reason */
export async function diagnoseCluster(
  gateway: LabGateway,
  workloads: readonly Workload[],
): Promise<Readonly<Record<string, string>>> {
  const ask = (netns: string, script: string): Promise<string> =>
    runInNetns(netns, ['sh', '-c', script]).catch(messageOf);
  const logs = (await filesIn(gateway.folder)).filter((file) => file.endsWith('.log'));
  const answers = await Promise.all([
    ...GATEWAY_QUESTIONS.map(async ([file, script]) => [file, await ask(gateway.netns, script)] as const),
    ...workloads.map(async ({ spec }) => {
      const netns = workloadNetns(gateway.run, gateway.cluster, spec);
      const [state, log] = await Promise.all([
        ask(netns, WORKLOAD_SCRIPT),
        logTail(`${agentPath(gateway.run, gateway.cluster, spec)}.log`),
      ]);
      return [`workload-${keyOf(spec).replace('/', '-')}.txt`, `${state}\nagent's log:\n${log}\n`] as const;
    }),
    ...logs.map(async (file) => [file, await logTail(`${gateway.folder}/${file}`)] as const),
  ]);
  return Object.fromEntries(answers.map(([file, text]) => [file, redactKeys(text)]));
}

/** Private and pre-shared keys, as configuration files and PEM write them, never leave the machine. */
export function redactKeys(text: string): string {
  return text
    .replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, '(redacted)')
    .replace(/((?:private|preshared)[\s_-]?key\s*[:=]?\s*)\S+/gi, '$1(redacted)');
}
