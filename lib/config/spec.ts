/** From a merged configuration to what a run does. Pure: nothing is looked at but the arguments. */
import {
  type AddressPlan,
  DEFAULT_IPV6_POOL,
  DEFAULT_POOL,
  DEFAULT_SITE_PREFIX,
  type ClusterRanges,
} from '../model/addressing.ts';
import type { Budget } from '../model/budgets.ts';
import type { AnyCheck, Suite } from '../model/check.ts';
import { type IpFamily, parseCidr } from '../model/cidr.ts';
import { UserError } from '../model/errors.ts';
import { defaultClusterNames } from '../model/ids.ts';
import type { KubernetesOptions, RunSpec } from '../model/spec.ts';
import type { Topology } from '../model/topology.ts';
import { planAddresses } from './addressing.ts';
import type { Path } from './file.ts';
import { IMAGE_NAMES } from './images.ts';
import type { Configured } from './layers.ts';
import { OPTIONS_OF } from './names.ts';
import { suggest } from './nearest.ts';
import type { ClusterEntry, ConfigurationKey } from './schema.ts';

/** What a configuration may refer to. */
export interface Known {
  readonly suites: readonly Suite[];
  readonly reportFormats: readonly string[];
  /** Profiles of the runs beside which this one is to stand: figures of different providers do not compare. */
  readonly comparedWith?: readonly string[];
}

const FAMILIES: Readonly<Record<'ipv4' | 'ipv6' | 'dual', readonly IpFamily[]>> = {
  ipv4: ['ipv4'],
  ipv6: ['ipv6'],
  dual: ['ipv4', 'ipv6'],
};

/** @throws UserError for what is unknown, contradicts itself, or is not in this version */
export function toRunSpec(configured: Configured, known: Known): RunSpec {
  const { values, given } = configured;
  refuseWhatIsMissing(configured);
  const entries = clusterEntries(configured);
  const families = FAMILIES[values.ipFamily ?? 'ipv4'];
  const { provider, reason } = chooseProvider(configured, known.comparedWith);
  refuseWhatDoesNotApply(configured, provider);
  refuseOptionsOfOthers(configured, known.comparedWith);
  const kubernetes = kubernetesOptions(configured, entries);
  if (provider !== 'contexts' && given.kubeconfig !== undefined) {
    throw new UserError(`The provider ${provider} reads no kubeconfig`, {
      where: configured.whereOf('kubeconfig'),
      remedy: 'Name the contexts of the existing clusters with --context, or leave it out',
    });
  }
  if (provider === 'contexts') checkContexts(configured, entries, kubernetes);
  return {
    profile: values.profile ?? 'none',
    provider,
    providerReason: reason,
    underlay: underlayOf(configured, provider),
    topology: topologyOf(configured, entries),
    families,
    plan: addressPlan(configured, entries, families),
    level: values.level ?? 'core',
    suites: values.suite ?? [],
    checks: values.check ?? [],
    skips: values.skip ?? [],
    // Only what the user says counts as explicit; by default large fleets are sampled.
    pairs: values.pairs ?? { kind: 'all' },
    tuning: values.tuning ?? 'as-configured',
    kubernetes,
    istioTopology: values.istioTopology ?? 'multi-primary',
    ciliumSharing: values.ciliumSharing ?? 'global-service',
    ciliumRouting: values.ciliumRouting ?? 'native',
    ciliumKubeProxy: values.ciliumKubeProxy ?? 'kept',
    ciliumEncryption: values.ciliumEncryption ?? 'none',
    consulGateways: values.consulGateways ?? 'local',
    images: {
      ...imagesNamed(configured),
      ...(values.nodeImage !== undefined && { node: values.nodeImage }),
      ...(values.probeImage !== undefined && { probe: values.probeImage }),
    },
    versions: values.versions ?? {},
    tools: values.tools ?? {},
    charts: values.charts ?? {},
    budgets: budgetOverrides(configured, known.suites),
    out: values.out ?? 'mcnet-report',
    reports: reportsOf(configured, known.reportFormats),
    keep: values.keep ?? false,
    ...(values.attach !== undefined && { attach: values.attach }),
    bail: values.bail ?? false,
    ...(values.deadline !== undefined && { deadlineMs: values.deadline }),
    seed: values.seed ?? 'mcnet',
    yes: values.yes ?? false,
    verbosity: verbosityOf(configured),
    configuration: given,
  };
}

/** Images by the names of the one table. */
function imagesNamed(configured: Configured): Readonly<Record<string, string>> {
  const { images = {} } = configured.values;
  const unknown = Object.keys(images).find((name) => !IMAGE_NAMES.includes(name));
  if (unknown === undefined) return images;
  throw new UserError(`"${unknown}" is not a known image`, {
    where: configured.whereOf('images', [], unknown),
    remedy: suggest(unknown, IMAGE_NAMES),
  });
}

/** What only concerns clusters that kind makes; a user-level file may hold some of it for other runs. */
const KIND_ONLY = ['cni', 'nodes', 'nodeImage'] as const satisfies readonly ConfigurationKey[];

const needsKubernetes = (profile: string | undefined): boolean => profile !== undefined && profile !== 'none';

function refuseWhatDoesNotApply(configured: Configured, provider: RunSpec['provider']): void {
  const { given, values } = configured;
  if (provider === 'lab' && needsKubernetes(values.profile)) {
    throw new UserError(`The profile ${values.profile} needs Kubernetes, of which a lab has none`, {
      where: configured.whereOf('provider'),
      remedy: 'Leave --provider out, or say --provider kind',
    });
  }
  const key = provider === 'kind' ? undefined : KIND_ONLY.find((name) => given[name] !== undefined);
  if (key === undefined) return;
  throw new UserError(`The provider ${provider} creates no Kubernetes clusters, which alone have it`, {
    where: configured.whereOf(key),
    remedy: 'Leave it out, or say --provider kind',
  });
}

/** Files and environments serve many runs, and a kept run brings its own profile: only what is said to this one counts. */
function refuseOptionsOfOthers(configured: Configured, comparedWith: readonly string[] = []): void {
  const { values, given } = configured;
  const { profile = 'none' } = values;
  if (values.attach !== undefined) return;
  for (const [owner, keys] of Object.entries(OPTIONS_OF)) {
    if (owner === profile || comparedWith.includes(owner)) continue;
    const key = keys.find((one) => given[one] !== undefined && configured.whereOf(one).startsWith('--'));
    if (key === undefined) continue;
    throw new UserError(`The profile ${profile} takes no notice of it`, {
      where: configured.whereOf(key),
      remedy: `Leave it out, or say --profile ${owner}`,
    });
  }
}

function kubernetesOptions(
  { values, given }: Configured,
  entries: readonly ClusterEntry[],
): KubernetesOptions {
  const named = entries.map(
    ({ name, context }, index) => [name, context ?? values.context?.[index]] as const,
  );
  return {
    cni: values.cni ?? 'default',
    nodes: values.nodes ?? 1,
    contexts: Object.fromEntries(named.filter((entry): entry is [string, string] => entry[1] !== undefined)),
    ...(values.kubeconfig !== undefined && { kubeconfig: values.kubeconfig }),
    ...(values.namespace !== undefined && { namespace: values.namespace }),
    nodeSelector: values.nodeSelector ?? {},
    tolerations: values.toleration ?? [],
    imagePullSecrets: values.imagePullSecret ?? [],
    allowFaults: values.allowFaults ?? false,
    ranges: Object.fromEntries(entries.map((entry) => [entry.name, rangesGiven(entry)])),
    addressesPlanned: given.addressing !== undefined,
  };
}

function rangesGiven({ pods, services, nodes }: ClusterEntry): Partial<ClusterRanges> {
  return { ...(pods && { pods }), ...(services && { services }), ...(nodes && { nodes }) };
}

/** Clusters that exist are joined by what is there; only for those that are created is there a choice. */
function underlayOf(configured: Configured, provider: RunSpec['provider']): RunSpec['underlay'] {
  const { values, given } = configured;
  if (provider !== 'contexts') return values.underlay ?? 'wireguard';
  if (given.underlay !== undefined && values.underlay !== 'existing') {
    throw new UserError(
      `Existing clusters are not joined by ${values.underlay}: they are taken as they are`,
      {
        where: configured.whereOf('underlay'),
        remedy: 'Leave it out: the underlay of contexts is "existing"',
      },
    );
  }
  return 'existing';
}

/** Every cluster needs a context, and every context a cluster. */
function checkContexts(
  configured: Configured,
  entries: readonly ClusterEntry[],
  spec: KubernetesOptions,
): void {
  const { values } = configured;
  const nameless = entries.find(({ name }) => spec.contexts[name] === undefined);
  const count = values.context?.length ?? 0;
  if (nameless && values.attach === undefined) {
    throw new UserError(`The cluster "${nameless.name}" has no context`, {
      where: count > 0 ? configured.whereOf('context') : configured.whereOf('provider'),
      remedy: 'Repeat --context once for each cluster; `kubectl config get-contexts` shows what there is',
    });
  }
  if (count > entries.length) {
    throw new UserError(`There are ${count} contexts for ${entries.length} clusters`, {
      where: configured.whereOf('context'),
      remedy: 'Leave --clusters out, or name as many clusters as contexts',
    });
  }
}

/** Names of the stable surface that this version does not have yet. */
function refuseWhatIsMissing(configured: Configured): void {
  const { values } = configured;
  const creates = values.provider === 'lab' || values.provider === 'kind';
  if (values.underlay === 'existing' && (creates || attachesTo(configured).length === 0)) {
    throw new UserError('Clusters that are created have no underlay that exists already', {
      where: configured.whereOf('underlay'),
      remedy: 'Choose wireguard or direct, or attach to clusters that are joined already with --context',
    });
  }
  if ((values.extensions ?? []).length > 0) {
    throw new UserError('This version does not load extensions yet', {
      where: configured.whereOf('extensions'),
      remedy: 'Leave `extensions` out',
    });
  }
}

/** Where contexts of existing clusters are named. */
function attachesTo({ values }: Configured): { key: ConfigurationKey; path: Path }[] {
  const named = Array.isArray(values.clusters)
    ? values.clusters.flatMap((entry, index) =>
        typeof entry === 'object' && entry.context !== undefined
          ? [{ key: 'clusters' as const, path: [index, 'context'] }]
          : [],
      )
    : [];
  return values.context ? [{ key: 'context', path: [] }, ...named] : named;
}

function chooseProvider(
  configured: Configured,
  comparedWith: readonly string[] = [],
): { provider: RunSpec['provider']; reason: string } {
  const { values } = configured;
  if (values.provider !== undefined && values.provider !== 'auto') {
    return { provider: values.provider, reason: 'as asked' };
  }
  if (attachesTo(configured).length > 0)
    return { provider: 'contexts', reason: 'kubeconfig contexts are given' };
  if (needsKubernetes(values.profile)) {
    return { provider: 'kind', reason: `the profile ${values.profile} needs Kubernetes` };
  }
  const other = comparedWith.find(needsKubernetes);
  if (other !== undefined) {
    return { provider: 'kind', reason: `${other}, with which it is compared, needs Kubernetes` };
  }
  return {
    provider: 'lab',
    reason: `no kubeconfig context is given, and the profile ${values.profile} needs no Kubernetes`,
  };
}

type ClusterEntries = readonly [ClusterEntry, ClusterEntry, ...ClusterEntry[]];

function clusterEntries(configured: Configured): ClusterEntries {
  const { values, given } = configured;
  // Without a word about clusters there are as many as contexts.
  const clusters = given.clusters === undefined && values.context ? values.context.length : values.clusters;
  const listed = typeof clusters === 'object' ? clusters : defaultClusterNames(clusters ?? 2);
  const entries = listed.map((entry): ClusterEntry => (typeof entry === 'string' ? { name: entry } : entry));
  const [first, second, ...others] = entries;
  if (!first || !second) {
    throw new UserError('At least 2 clusters are needed: connectivity needs two ends', {
      where: configured.whereOf(given.clusters === undefined && values.context ? 'context' : 'clusters'),
      remedy: 'Name another one',
    });
  }
  const seen = new Set<string>();
  entries.forEach(({ name }, index) => {
    if (seen.has(name)) {
      throw new UserError(`The cluster name "${name}" is given twice`, {
        where: configured.whereOf('clusters', [index]),
        remedy: 'Every cluster needs a name of its own',
      });
    }
    seen.add(name);
  });
  return [first, second, ...others];
}

function topologyOf(configured: Configured, entries: ClusterEntries): Topology {
  const names = entries.map(({ name }) => name);
  const { hub = entries[0].name } = configured.values;
  if (!names.includes(hub)) {
    throw new UserError(`The hub "${hub}" is none of the clusters`, {
      where: configured.whereOf('hub'),
      remedy: suggest(hub, names),
    });
  }
  return {
    kind: configured.values.topology ?? 'full-mesh',
    members: entries.map(({ name, segments }) => (segments ? { name, segments } : { name })),
    hub,
  };
}

function addressPlan(
  configured: Configured,
  entries: readonly ClusterEntry[],
  families: readonly IpFamily[],
): AddressPlan {
  const {
    pool = DEFAULT_POOL,
    prefix = DEFAULT_SITE_PREFIX,
    ipv6Pool = DEFAULT_IPV6_POOL,
  } = configured.values.addressing ?? {};
  for (const [key, value, family] of [
    ['pool', pool, 'ipv4'],
    ['ipv6Pool', ipv6Pool, 'ipv6'],
  ] as const) {
    if (parseCidr(value).family === family) continue;
    throw new UserError(`"${value}" is no ${family === 'ipv4' ? 'IPv4' : 'IPv6'} range`, {
      where: configured.whereOf('addressing', [key]),
      remedy: `\`addressing.${key}\` is the pool of ${family}`,
    });
  }
  return planAddresses({ clusters: entries, families, pool, prefix, ipv6Pool });
}

/** As `<check id>.<name>`. */
function budgetOverrides(configured: Configured, suites: readonly Suite[]): Record<string, number> {
  const checks = new Map<string, AnyCheck>(
    suites.flatMap((suite) => suite.checks.map((check) => [check.id, check])),
  );
  const overrides: Record<string, number> = {};
  for (const [id, budgets] of Object.entries(configured.values.budgets ?? {})) {
    const check = checks.get(id);
    if (!check) throw unknownBudget(configured, 'check', [], id, [...checks.keys()]);
    const declared: Readonly<Record<string, Budget>> = check.budgets ?? {};
    for (const [name, value] of Object.entries(budgets)) {
      const budget = Object.hasOwn(declared, name) ? declared[name] : undefined;
      if (!budget) throw unknownBudget(configured, `budget of ${id}`, [id], name, Object.keys(declared));
      overrides[`${id}.${name}`] =
        typeof value === 'number' ? value : inUnitOf(configured, budget, value.milliseconds, [id, name]);
    }
  }
  return overrides;
}

function unknownBudget(
  configured: Configured,
  what: string,
  path: Path,
  name: string,
  known: readonly string[],
): UserError {
  return new UserError(`"${name}" is not a known ${what}`, {
    where: configured.whereOf('budgets', path, name),
    remedy: known.length === 0 ? 'It has no budgets' : suggest(name, known),
  });
}

function inUnitOf(configured: Configured, budget: Budget, milliseconds: number, path: Path): number {
  if (budget.unit === 'ms') return milliseconds;
  throw new UserError(`The budget ${path.join('.')} is no time`, {
    where: configured.whereOf('budgets', path),
    remedy: `Give it as a number; its unit is "${budget.unit}"`,
  });
}

/** @throws UserError for a format that nobody knows */
export function reportsOf(configured: Configured, formats: readonly string[]): RunSpec['reports'] {
  return (configured.values.report ?? []).map((report) => {
    if (!formats.includes(report.format)) {
      throw new UserError(`"${report.format}" is not a known report format`, {
        where: configured.whereOf('report'),
        remedy: suggest(report.format, formats),
      });
    }
    if (report.path === '') {
      throw new UserError(`The report ${report.format} has no path after the equals sign`, {
        where: configured.whereOf('report'),
        remedy: `Write ${report.format}=<path>, or ${report.format}=- for standard output`,
      });
    }
    return report;
  });
}

function verbosityOf(configured: Configured): RunSpec['verbosity'] {
  const { verbose, quiet } = configured.values;
  if (verbose && quiet) {
    throw new UserError('Both verbose and quiet are asked for', {
      where: configured.whereOf('quiet'),
      remedy: 'Choose one of --verbose and --quiet',
    });
  }
  return verbose ? 'verbose' : quiet ? 'quiet' : 'normal';
}
