/** What runs in kind clusters, as it says itself. */
import type { Command } from '../../system/commands.ts';
import { runCommand } from '../../system/commands.ts';
import type { KindDependencies } from './context.ts';
import { docker, inspectImage, insideContainer } from './docker.ts';
import type { KindFleet } from './fleet.ts';
import { observeMachine } from './machine.ts';
import { controlPlaneName, gatewayName } from './names.ts';

const BUILD_LABEL = 'mcnet-conformance.build';
const DIFFERS_LABEL = 'mcnet-conformance.differs';

/** Asked of the first node of a cluster; what gives no answer is left out. */
const NODE_QUESTIONS: Readonly<Record<string, Command>> = {
  kernel: ['uname', '-r'],
  kubernetes: ['sh', '-c', 'kubelet --version | cut -d " " -f 2'],
  containerd: ['sh', '-c', 'containerd --version | cut -d " " -f 3'],
  // The first by name is the one in force (CNI specification, as containerd implements it).
  cni: ['sh', '-c', 'jq -r .name "$(ls /etc/cni/net.d/*.conf* | head -n 1)"'],
  'kube-proxy mode': ['curl', '--silent', '--fail', '--max-time', '2', 'http://127.0.0.1:10249/proxyMode'],
};

/** All clusters of a fleet are made alike, so the first is asked, and the images of all. */
export async function observeVersions(
  fleet: KindFleet,
  dependencies: KindDependencies,
): Promise<Record<string, string>> {
  const [first] = fleet.clusters;
  if (!first) return {};
  const node = controlPlaneName(fleet.run, first.name);
  const [machine, image, answers] = await Promise.all([
    observeMachine(dependencies),
    imageOf(node),
    Promise.all(
      Object.entries(NODE_QUESTIONS).map(async ([name, command]) => {
        const answer = await runCommand(insideContainer(node, command)).catch(() => '');
        return [name, answer.trim()] as const;
      }),
    ),
  ]);
  return {
    ...machine,
    ...Object.fromEntries(answers.filter(([, answer]) => answer !== '')),
    'node image': image.digest ?? `${image.name} ${image.id}`,
  };
}

async function imageOf(container: string) {
  const shown = await docker(['container', 'inspect', '--format', '{{.Config.Image}} {{.Image}}', container]);
  const [name = '', id = ''] = shown.trim().split(' ');
  const facts = await inspectImage(id);
  return {
    name,
    id,
    ...(facts && { labels: facts.labels }),
    ...(facts?.digest !== undefined && { digest: facts.digest }),
  };
}

/** The images of all nodes and gateways that say that somebody else than their vendor built them, or cannot be asked. */
export async function localBuilds(fleet: KindFleet): Promise<readonly string[]> {
  const containers = fleet.clusters.flatMap(({ name }) => [
    controlPlaneName(fleet.run, name),
    gatewayName(fleet.run, name),
  ]);
  const images = await Promise.all(containers.map(imageOf));
  return [
    ...new Set(
      images.flatMap(({ name, labels }) => {
        if (!labels) return [`${name}: not observed: the Docker engine has deleted it since`];
        return labels[BUILD_LABEL] === 'local'
          ? [`${name}: ${labels[DIFFERS_LABEL] ?? 'built locally'}`]
          : [];
      }),
    ),
  ];
}
