/** The flags of `run`, once: command line, environment and help are made from this table. Nothing heavy is imported here. */
import { type ChoiceKey, DEFAULTS, choicesOf } from './names.ts';

export interface Flag {
  /** Key in mcnet.yaml; the long flag is its kebab-case, the environment variable its `MCNET_UPPER_CASE`. */
  readonly key: string;
  /** What its value stands for; a flag without one is a switch. */
  readonly value?: string;
  readonly repeatable?: boolean;
  readonly group: string;
  readonly help: string;
}

const choices = (key: ChoiceKey): string =>
  choicesOf(key)
    .map((choice) => choice.name)
    .join(', ');

const FLEET = 'The fleet:';
const KUBERNETES = 'Kubernetes:';
const SELECTION = 'What to check:';
export const RESULTS = 'Results:';
export const CONDUCT = 'How to run:';

export const FLAGS = [
  {
    key: 'clusters',
    value: 'n|names',
    group: FLEET,
    help: 'how many clusters, or their names: 3, or paris,rome,oslo',
  },
  { key: 'topology', value: 'name', group: FLEET, help: `who has a tunnel to whom: ${choices('topology')}` },
  {
    key: 'hub',
    value: 'cluster',
    group: FLEET,
    help: 'hub of hub-and-spoke, root of a tree (default: the first cluster)',
  },
  {
    key: 'underlay',
    value: 'name',
    group: FLEET,
    help: `what joins the clusters: ${choices('underlay')}`,
  },
  { key: 'ipFamily', value: 'family', group: FLEET, help: `IP families in use: ${choices('ipFamily')}` },
  {
    key: 'profile',
    value: 'name',
    group: FLEET,
    help: `multi-cluster technology on top: ${choices('profile')}`,
  },
  {
    key: 'provider',
    value: 'name',
    group: FLEET,
    help: `where the clusters come from: ${choices('provider')}`,
  },
  {
    key: 'context',
    value: 'name',
    repeatable: true,
    group: FLEET,
    help: 'kubeconfig context to attach to',
  },
  {
    key: 'kubeconfig',
    value: 'file',
    group: FLEET,
    help: 'kubeconfig with the contexts',
  },
  {
    key: 'cni',
    value: 'name',
    group: KUBERNETES,
    help: `CNI of clusters it creates: ${choices('cni')}`,
  },
  { key: 'nodes', value: 'n', group: KUBERNETES, help: 'nodes of each cluster it creates' },
  {
    key: 'nodeImage',
    value: 'image',
    group: KUBERNETES,
    help: 'node image of clusters it creates',
  },
  { key: 'probeImage', value: 'image', group: KUBERNETES, help: 'image of the probe agent' },
  {
    key: 'istioTopology',
    value: 'name',
    group: KUBERNETES,
    help: `how Istio spans the clusters: ${choices('istioTopology')}`,
  },
  {
    key: 'ciliumSharing',
    value: 'name',
    group: KUBERNETES,
    help: `how services are shared over Cilium: ${choices('ciliumSharing')}`,
  },
  {
    key: 'ciliumRouting',
    value: 'name',
    group: KUBERNETES,
    help: `how Cilium carries what pods send each other: ${choices('ciliumRouting')}`,
  },
  {
    key: 'ciliumKubeProxy',
    value: 'name',
    group: KUBERNETES,
    help: `kube-proxy beside Cilium: ${choices('ciliumKubeProxy')}`,
  },
  {
    key: 'ciliumEncryption',
    value: 'name',
    group: KUBERNETES,
    help: `transparent encryption by Cilium: ${choices('ciliumEncryption')}`,
  },
  {
    key: 'consulGateways',
    value: 'name',
    group: KUBERNETES,
    help: `how callers leave their cluster over Consul: ${choices('consulGateways')}`,
  },
  {
    key: 'namespace',
    value: 'prefix',
    group: KUBERNETES,
    help: 'put before the names of the namespaces that it creates',
  },
  {
    key: 'nodeSelector',
    value: 'key=value',
    repeatable: true,
    group: KUBERNETES,
    help: 'only nodes with this label (repeatable)',
  },
  {
    key: 'toleration',
    value: 'key[=value][:effect]',
    repeatable: true,
    group: KUBERNETES,
    help: 'taint that its pods tolerate (repeatable)',
  },
  {
    key: 'imagePullSecret',
    value: 'name',
    repeatable: true,
    group: KUBERNETES,
    help: 'Secret of the namespace default to pull images with (repeatable)',
  },
  {
    key: 'allowFaults',
    group: KUBERNETES,
    help: 'in existing clusters too, inject faults, within its own namespaces',
  },
  {
    key: 'tuning',
    value: 'how',
    group: FLEET,
    help: `timers of the technology: ${choices('tuning')}`,
  },
  { key: 'level', value: 'level', group: SELECTION, help: `which checks: ${choices('level')}` },
  {
    key: 'suite',
    value: 'glob',
    repeatable: true,
    group: SELECTION,
    help: 'only these suites: dns, or m* (repeatable)',
  },
  {
    key: 'check',
    value: 'glob',
    repeatable: true,
    group: SELECTION,
    help: "only these checks or cases: mtu.path, or '*[east->west]' (repeatable)",
  },
  {
    key: 'skip',
    value: 'glob',
    repeatable: true,
    group: SELECTION,
    help: 'not these suites, checks or cases (repeatable)',
  },
  {
    key: 'pairs',
    value: 'which',
    group: SELECTION,
    help: 'all, or sample:<n> for n directed pairs in performance and failover, which above 6 pairs are sampled anyway',
  },
  { key: 'seed', value: 'text', group: SELECTION, help: 'what the sample is drawn from' },
  {
    key: 'out',
    value: 'folder',
    group: RESULTS,
    help: 'folder for record.ndjson, junit.xml and report.json',
  },
  {
    key: 'report',
    value: 'format[=path]',
    repeatable: true,
    group: RESULTS,
    help: 'add a report or move one: json=result.json, junit=- for standard output (repeatable)',
  },
  { key: 'verbose', group: RESULTS, help: 'more about what happens; stack traces of errors' },
  { key: 'quiet', group: RESULTS, help: 'no progress' },
  { key: 'yes', group: CONDUCT, help: 'install missing Debian packages (as root, from configured sources)' },
  { key: 'keep', group: CONDUCT, help: 'leave everything in place at the end, to look at or to attach to' },
  { key: 'attach', value: 'run id', group: CONDUCT, help: 'run again on what a kept run left' },
  { key: 'bail', group: CONDUCT, help: 'stop at the first case that fails' },
  {
    key: 'deadline',
    value: 'duration',
    group: CONDUCT,
    help: 'what has not finished by then is inconclusive: 90s, 5m',
  },
] as const satisfies readonly Flag[];

export const longFlag = (key: string): string => `--${separated(key, '-')}`;
export const environmentName = (key: string): string => `MCNET_${separated(key, '_').toUpperCase()}`;

function separated(key: string, separator: string): string {
  return key.replace(/[A-Z]/g, (letter) => `${separator}${letter.toLowerCase()}`);
}

/** Default of a flag as help shows it. */
export function defaultOf(key: string): string | undefined {
  // Not in DEFAULTS, because asking for `all` out loud means more: nothing is sampled then.
  if (key === 'pairs') return 'all';
  return key in DEFAULTS ? DEFAULTS[key as keyof typeof DEFAULTS] : undefined;
}
