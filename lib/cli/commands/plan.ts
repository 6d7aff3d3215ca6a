import { stringify } from 'yaml';
import { imagesOf } from '../../config/images.ts';
import { type AddressPlan, RANGE_KINDS } from '../../model/addressing.ts';
import type { VendorChart } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { PlannedCase } from '../../model/record.ts';
import type { RunSpec } from '../../model/spec.ts';
import type { Verdict } from '../../model/verdict.ts';
import { type Topology, countPaths } from '../../model/topology.ts';
import { type RunPlan, planRun } from '../../run/execute.ts';
import { judgeCase } from '../../run/judge.ts';
import { registryOf } from '../../run/registry.ts';
import { planToolkit } from '../../run/toolkit.ts';
import { systemClock } from '../../system/clock.ts';
import { counted } from '../../../reports/text.ts';
import { SUITES } from '../../../suites/index.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { completeSpec } from '../survey.ts';
import { EXIT_FAILED } from '../failure.ts';
import { faint, heading, say, sayJson, table } from '../print.ts';
import type { PlanOptions, RawFlags } from '../program.ts';

function describeImages(spec: RunSpec): string {
  const used = imagesOf(spec);
  if (used.length === 0) return `The provider ${spec.provider} uses no images`;
  const rows = used.map(({ name, what, image, otherwise }) => [name, image ?? faint(otherwise), faint(what)]);
  return `${heading('Images')} ${faint('by their names under `images:` in mcnet.yaml')}\n${table(rows)}`;
}

/** By case id: what can be judged before anything exists. */
type Verdicts = Readonly<Record<string, Verdict>>;

/** Says what a run would do; creates nothing. The exit code is 1 when the address plan itself fails. */
export async function plan(flags: RawFlags, { json, images, chart }: PlanOptions): Promise<number> {
  const asked = await readSpec(flags);
  if (images) {
    if (json) sayJson(imagesOf(asked));
    else say(describeImages(asked));
    return 0;
  }
  const spec = await completeSpec(asked);
  const parts = partsOf(spec);
  const planned = planRun(spec, parts);
  if (chart) {
    const vendor = parts.profile.vendorChart?.(planned.fixtures);
    if (!vendor) {
      throw new UserError(`The profile ${parts.profile.name} is not shown by a chart`, {
        where: '--chart',
        remedy: 'Leave it out, or choose a --profile that its vendor has a chart for, such as consul',
      });
    }
    if (json) sayJson(vendor);
    else say(describeChart(vendor));
    return 0;
  }
  const verdicts = await judgeAddressing(spec, planned);
  if (json) sayJson({ configuration: spec, ...planned, verdicts });
  else say(describePlan(spec, planned, verdicts));
  return Object.values(verdicts).some(({ status }) => status === 'failed') ? EXIT_FAILED : 0;
}

async function judgeAddressing(spec: RunSpec, { cases }: RunPlan): Promise<Verdicts> {
  const registry = registryOf(SUITES);
  const verdicts: Record<string, Verdict> = {};
  for (const planned of cases) {
    const check = registry.get(planned.check);
    if (!check?.planOnly || planned.skip !== undefined) continue;
    const { toolkit } = planToolkit(spec.plan, {
      run: 'plan',
      topology: spec.topology,
      planned,
      clock: systemClock,
      signal: new AbortController().signal,
    });
    const observed: unknown = await check.observe(toolkit, planned.budgets);
    verdicts[planned.id] = judgeCase(check, planned, observed).verdict;
  }
  return verdicts;
}

/** To be pasted: commands, then the files that they name. */
function describeChart({ clusters, steps }: VendorChart): string {
  const documents = (of: readonly unknown[]): string => of.map((one) => stringify(one)).join('---\n');
  const files = clusters.flatMap(({ cluster, values, objects }) => [
    `# ${cluster}-values.yaml\n${documents([values])}`,
    `# ${cluster}-resources.yaml\n${documents(objects)}`,
  ]);
  return [steps.map((step) => `# ${step}`).join('\n'), ...files].join('\n\n');
}

function describePlan(spec: RunSpec, planned: RunPlan, verdicts: Verdicts): string {
  const sections = [
    ['Fleet', describeFleet(spec, planned)],
    [`Addresses ${faint(`of each cluster, from ${poolsOf(spec)}`)}`, describeAddresses(spec.plan)],
    ['Set by you', describeConfiguration(spec)],
    ['Needed', describeNeeds(planned)],
    ...describeCases(planned.cases, verdicts),
  ];
  const skipped = planned.cases.filter((one) => one.skip !== undefined).length;
  const total = `${counted(planned.cases.length - skipped, 'case')} would run, ${counted(skipped, 'case')} would be skipped. Nothing was created.`;
  return [...sections.map(([title, body]) => `${heading(title as string)}\n${body}`), heading(total)].join(
    '\n\n',
  );
}

function describeFleet(spec: RunSpec, { requirements }: RunPlan): string {
  const { topology } = spec;
  const names = topology.members.map(({ name }) =>
    name === topology.hub && topology.kind !== 'full-mesh' ? `${name} (hub)` : name,
  );
  const rows = [
    ['clusters', names.join(', ')],
    ['provider', `${spec.provider} ${faint(`(${spec.providerReason})`)}`],
    ['underlay', spec.underlay],
    ['profile', spec.profile],
    ['topology', `${topology.kind} ${faint(`(directed pairs: ${describePaths(topology)})`)}`],
    ...describeWays(spec),
    ['IP families', spec.families.join(', ')],
  ];
  if (requirements.pathMtu !== undefined) rows.push(['path MTU', `${requirements.pathMtu} bytes`]);
  return table(rows);
}

const describePaths = (topology: Topology): string =>
  [...countPaths(topology)].map(([kind, count]) => `${count} ${kind}`).join(', ');

/** What the technology makes of pairs without a tunnel of their own. */
function describeWays(spec: RunSpec): [string, string][] {
  const { ways } = partsOf(spec).profile;
  return [...countPaths(spec.topology).keys()].flatMap((kind): [string, string][] => {
    const way = ways?.[kind];
    return kind === 'direct' || typeof way !== 'string' ? [] : [[kind, way]];
  });
}

function poolsOf({ plan: { pool, prefix, ipv6Pool }, families }: RunSpec): string {
  const pools = { ipv4: `${pool} in blocks of /${prefix}`, ipv6: ipv6Pool };
  return families.map((family) => pools[family]).join(' and ');
}

const textOf = (range: PerFamily<string>): string => Object.values(range).join(' ');

function describeAddresses(addresses: AddressPlan): string {
  const rows = Object.entries(addresses.clusters).map(([name, ranges]) => [
    name,
    ...RANGE_KINDS.map((kind) => textOf(ranges[kind])),
  ]);
  const shared = [
    ['wan', textOf(addresses.wan)],
    ['tunnel', textOf(addresses.tunnel)],
  ].filter(([, text]) => text !== '');
  const own = table([['', ...RANGE_KINDS].map(faint), ...rows]);
  if (shared.length === 0) return own;
  return `${own}\n${faint('  between the clusters')}\n${table(shared)}`;
}

function describeConfiguration({ configuration }: RunSpec): string {
  const rows = Object.entries(configuration).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return rows.length === 0 ? '  nothing: every value is the default' : table(rows);
}

function describeNeeds({ requirements, fixtures }: RunPlan): string {
  return table([
    ['network between gateways', requirements.wan ? 'yes' : 'no'],
    ['packages', requirements.hostPackages.join(', ') || 'none beyond those of the provider'],
    [
      'in every cluster',
      `${counted(fixtures.workloads.length, 'workload')}, ${counted(fixtures.services.length, 'service')}, ${counted(fixtures.intents.length, 'standing intent')}`,
    ],
  ]);
}

function describeCases(cases: readonly PlannedCase[], verdicts: Verdicts): [string, string][] {
  return SUITES.flatMap((suite): [string, string][] => {
    const own = cases.filter((planned) => planned.suite === suite.id);
    if (own.length === 0) return [];
    const rows = own.map(({ id, skip }) => {
      const verdict = verdicts[id];
      if (verdict) return [verdict.status, id, verdict.status === 'failed' ? detailsOf(verdict) : ''];
      return [skip === undefined ? 'run' : 'skip', id, faint(skip ?? '')];
    });
    return [[`${suite.id} ${faint(suite.title)}`, table(rows)]];
  });
}

const detailsOf = ({ reason, seen }: Verdict): string => (seen === undefined ? reason : `${reason}: ${seen}`);
