/** What kind clusters need of this machine, and what is there. Changes nothing. */
import { availableParallelism } from 'node:os';
import type { MachineProblem, Requirements } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Command, runCommand } from '../../system/commands.ts';
import { freeBytes, readIfPresent } from '../../system/files.ts';
import { lacksLink } from '../../system/kernel.ts';
import { inotifyInstances } from '../../system/processes.ts';
import type { KindDependencies } from './context.ts';
import { type Engine, inspectEngine, inspectImage } from './docker.ts';

/** Seen with Kubernetes 1.34: 600 to 700 MB for a node with its control plane, less for one without. */
const MEMORY_PER_NODE_MB = 500;
/** Of a node that is up, containers and pods included: its own file system, etcd, and unpacked images. */
const DISK_PER_NODE_MB = 1_500;
/** Seen on a node that is up, with Cilium as its CNI and with its gateway: systemd, containerd, the kubelet and agents watch files. */
const INOTIFY_PER_NODE = 28;
/** Where kind's own documentation puts it for more than a handful of nodes. */
const INOTIFY_ADVICE = 512;

export const kindCommand = ({ tools }: Pick<KindDependencies, 'tools'>): string => tools['kind'] ?? 'kind';

export async function checkMachine(
  requirements: Requirements,
  dependencies: KindDependencies,
): Promise<readonly MachineProblem[]> {
  const nodes = dependencies.clusters * dependencies.kubernetes.nodes;
  const [engine, tools] = await Promise.all([findEngine(), toolProblems(requirements, dependencies)]);
  if ('remedy' in engine) return [engine, ...tools];
  const [links, resources] = await Promise.all([
    linkProblems(engine, requirements),
    resourceProblems(engine, nodes),
  ]);
  return [...tools, ...links, ...resources];
}

async function findEngine(): Promise<Engine | MachineProblem> {
  try {
    return await inspectEngine();
  } catch (error) {
    if (error instanceof UserError) return { what: error.message, remedy: error.remedy ?? '' };
    throw error;
  }
}

const TOOL_REMEDIES: Readonly<Record<string, string>> = {
  kind: 'Install it: https://kind.sigs.k8s.io/docs/user/quick-start/#installation',
  helm: 'Install it: https://helm.sh/docs/intro/install/',
  istioctl: 'Install it: https://istio.io/latest/docs/ops/diagnostic-tools/istioctl/#install-istioctl',
};

const VERSION_WORDS: Readonly<Record<string, readonly string[]>> = {
  istioctl: ['version', '--remote=false'],
  kubectl: ['version', '--client'],
};

async function toolProblems(
  { kubernetes }: Requirements,
  { tools, kubernetes: { cni } }: KindDependencies,
): Promise<MachineProblem[]> {
  const wanted = [...new Set(['kind', ...(cni === 'cilium' ? ['helm'] : []), ...(kubernetes?.tools ?? [])])];
  const problems = await Promise.all(
    wanted.map(async (name): Promise<MachineProblem[]> => {
      const program = tools[name] ?? name;
      const command: Command = [program, ...(VERSION_WORDS[name] ?? ['version'])];
      const failure = await runCommand(command).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure === undefined) return [];
      return [
        {
          what: tools[name] === undefined ? `${name} is not on the PATH` : `${program} cannot be run`,
          remedy: `${TOOL_REMEDIES[name] ?? `Install ${name}`}, or say where it is: \`tools: { ${name}: /path/to/${name} }\` in mcnet.yaml`,
        },
      ];
    }),
  );
  return problems.flat();
}

async function linkProblems(engine: Engine, { kubernetes }: Requirements): Promise<MachineProblem[]> {
  // A remote engine's kernel is not ours to ask.
  if (!engine.local) return [];
  const problems = await Promise.all(
    (kubernetes?.links ?? []).map(async (kind): Promise<MachineProblem[]> =>
      (await lacksLink(kind))
        ? [
            {
              what: `The kernel of this machine knows no links of the kind ${kind}`,
              remedy: `Load its module (\`modprobe ${kind}\`), or choose what does without`,
            },
          ]
        : [],
    ),
  );
  return problems.flat();
}

async function resourceProblems(engine: Engine, nodes: number): Promise<MachineProblem[]> {
  // A remote engine's machine is not ours to look at.
  if (!engine.local) return [];
  const [memory, disk, inotify] = await Promise.all([
    availableMemoryMegabytes(),
    freeBytes(engine.rootFolder).catch(() => undefined),
    inotifyFacts(),
  ]);
  return judgeResources(nodes, {
    memoryMegabytes: memory,
    diskMegabytes: disk === undefined ? undefined : disk / 1e6,
    inotify,
    rootFolder: engine.rootFolder,
  });
}

export interface Resources {
  readonly memoryMegabytes: number | undefined;
  readonly diskMegabytes: number | undefined;
  readonly inotify: { readonly limit: number; readonly used: number } | undefined;
  readonly rootFolder: string;
}

/** Pure. What could not be found out is no problem. */
export function judgeResources(nodes: number, resources: Resources): MachineProblem[] {
  const { memoryMegabytes, diskMegabytes, inotify, rootFolder } = resources;
  const problems: MachineProblem[] = [];
  const few = `${nodes} ${nodes === 1 ? 'node needs' : 'nodes need'}`;
  if (memoryMegabytes !== undefined && memoryMegabytes < nodes * MEMORY_PER_NODE_MB) {
    problems.push({
      what: `${few} about ${nodes * MEMORY_PER_NODE_MB} MB of memory, and ${Math.floor(memoryMegabytes)} MB are available`,
      remedy: 'Free some memory, or ask for fewer clusters or nodes',
    });
  }
  if (diskMegabytes !== undefined && diskMegabytes < nodes * DISK_PER_NODE_MB) {
    problems.push({
      what: `${few} about ${nodes * DISK_PER_NODE_MB} MB of disk in ${rootFolder}, and ${Math.floor(diskMegabytes)} MB are free`,
      remedy: 'Free some space (`docker system prune` removes what the engine no longer uses)',
    });
  }
  if (inotify !== undefined && inotify.limit - inotify.used < nodes * INOTIFY_PER_NODE) {
    problems.push({
      what: `${few} about ${nodes * INOTIFY_PER_NODE} inotify instances, and ${Math.max(0, inotify.limit - inotify.used)} of root's ${inotify.limit} are free`,
      remedy: `sysctl -w fs.inotify.max_user_instances=${Math.max(INOTIFY_ADVICE, inotify.used + 2 * nodes * INOTIFY_PER_NODE)}`,
    });
  }
  return problems;
}

async function availableMemoryMegabytes(): Promise<number | undefined> {
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec((await readIfPresent('/proc/meminfo')) ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1_000;
}

async function inotifyFacts(): Promise<Resources['inotify']> {
  const limit = Number(await readIfPresent('/proc/sys/fs/inotify/max_user_instances'));
  // Only root sees what root's processes have open, and nodes are root's.
  if (!limit || process.getuid?.() !== 0) return undefined;
  return { limit, used: await inotifyInstances(0) };
}

/** Of the machine, before there is any cluster. */
export async function observeMachine(dependencies: KindDependencies): Promise<Record<string, string>> {
  const [engine, kind, node] = await Promise.all([
    inspectEngine(),
    runCommand([kindCommand(dependencies), 'version']),
    inspectImage(dependencies.images['node'] ?? '').catch(() => undefined),
  ]);
  return {
    docker: engine.version,
    kind: /v(\S+)/.exec(kind)?.[1] ?? kind.trim(),
    processors: String(availableParallelism()),
    ...(node && { 'node image': node.digest ?? node.id }),
  };
}
