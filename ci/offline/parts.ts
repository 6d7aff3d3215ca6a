/** What can be asked for: parts, the steps that each wants, and what the user's configuration then names. */
import {
  CILIUM_PROGRAMS,
  ciliumAgentImage,
  ciliumChart,
  ciliumMeshImage,
  ciliumOperatorImage,
  ciliumSteps,
} from './cilium.ts';
import { CONSUL_PROGRAM, consulImage, consulSteps } from './consul.ts';
import { rootStep } from './debian.ts';
import { envoyStep } from './envoy.ts';
import { BASE_ROOT, GATEWAY_IMAGE, PROBE_IMAGE, fixtureSteps } from './fixtures.ts';
import { type GoProgram, goSteps, programFile } from './go.ts';
import { ISTIO_PROGRAMS, istioPilotImage, istioProxyImage, istioSteps } from './istio.ts';
import { NODE_IMAGE, ROOTS, kubernetesSteps } from './kubernetes.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { toolStep } from './tools.ts';
import { MODULES, VERSIONS } from './versions.ts';

const [major = '', minor = ''] = VERSIONS.kubernetes.split('.');
const VERSION_PACKAGES = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];

const PROGRAMS: readonly GoProgram[] = [
  { name: 'kind', title: `kind ${VERSIONS.kind}`, module: 'kind', package: MODULES.kind.path },
  {
    name: 'kubernetes',
    title: `Kubernetes ${VERSIONS.kubernetes}`,
    module: 'kubernetes',
    package: '.',
    variables: Object.fromEntries(
      VERSION_PACKAGES.flatMap((name) => [
        [`${name}.gitVersion`, `v${VERSIONS.kubernetes}`],
        [`${name}.gitMajor`, major],
        [`${name}.gitMinor`, minor],
      ]),
    ),
  },
  { name: 'etcd', title: `etcd ${VERSIONS.etcd}`, module: 'etcd', package: MODULES.etcd.path },
  {
    name: 'coredns',
    title: `CoreDNS ${VERSIONS.coredns}`,
    module: 'coredns',
    package: MODULES.coredns.path,
  },
  {
    name: 'helm',
    title: `Helm ${VERSIONS.helm}`,
    module: 'helm',
    package: `${MODULES.helm.path}/cmd/helm`,
    variables: { [`${MODULES.helm.path}/internal/version.version`]: `v${VERSIONS.helm}` },
  },
  ...CILIUM_PROGRAMS,
  ...ISTIO_PROGRAMS,
  CONSUL_PROGRAM,
];

/** Tools by the name under which they are called, with the program behind each. */
const TOOLS: Readonly<Record<string, string>> = {
  kind: 'kind',
  kubectl: 'kubernetes',
  helm: 'helm',
  istioctl: 'istioctl',
};

export const PARTS = ['kubernetes', 'images', 'istio', 'cilium', 'consul', 'tools'] as const;
export type Part = (typeof PARTS)[number];

const tool = (name: string): string => `tool-${name}`;
const wanted: Readonly<Record<Part, readonly string[]>> = {
  tools: Object.keys(TOOLS).map(tool),
  images: ['image-probe', 'image-gateway'],
  kubernetes: [tool('kind'), tool('kubectl'), 'image-node'],
  istio: [tool('istioctl'), istioPilotImage.id, istioProxyImage.id],
  cilium: [tool('helm'), 'cilium-chart', ciliumAgentImage.id, ciliumOperatorImage.id, ciliumMeshImage.id],
  consul: [consulImage.id],
};

/** Ids of the steps that the parts want, each once, in the order in which others wait for them. */
export const stepsOfParts = (parts: readonly Part[]): string[] => [
  ...new Set(PARTS.filter((part) => parts.includes(part)).flatMap((part) => wanted[part])),
];

export function allSteps(places: Places): Step[] {
  return [
    ...goSteps(places, PROGRAMS),
    ...Object.entries(TOOLS).map(([name, program]) => toolStep(places, name, programFile(places, program))),
    ...[ROOTS.runtime, ROOTS.node, BASE_ROOT].map((root) => rootStep(places, root)),
    ...kubernetesSteps(places),
    ...ciliumSteps(places),
    envoyStep(places),
    ...istioSteps(places),
    ...consulSteps(places),
    ...fixtureSteps(places),
  ];
}

/** Keys of `images:` in the configuration, each with the step whose image it names. */
export const CONFIGURED_IMAGES: Readonly<Record<string, { step: string; name: string }>> = {
  node: { step: 'image-node', name: NODE_IMAGE },
  probe: { step: 'image-probe', name: PROBE_IMAGE },
  gateway: { step: 'image-gateway', name: GATEWAY_IMAGE },
  istioPilot: { step: istioPilotImage.id, name: istioPilotImage.name },
  istioProxyv2: { step: istioProxyImage.id, name: istioProxyImage.name },
  // Both are in one.
  consul: { step: consulImage.id, name: consulImage.name },
  consulEnvoy: { step: consulImage.id, name: consulImage.name },
  ciliumAgent: { step: ciliumAgentImage.id, name: ciliumAgentImage.name },
  ciliumOperator: { step: ciliumOperatorImage.id, name: ciliumOperatorImage.name },
  ciliumClustermeshApiserver: { step: ciliumMeshImage.id, name: ciliumMeshImage.name },
};

/** Keys of `charts:` in the configuration, each with the step that makes it and its folder. */
export const CONFIGURED_CHARTS = [{ name: 'cilium', step: 'cilium-chart', folder: ciliumChart }] as const;

/** Keys of `tools:` in the configuration are the tools' names. */
export const CONFIGURED_TOOLS = Object.keys(TOOLS).map((name) => ({ name, step: tool(name) }));
