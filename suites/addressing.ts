import type { AddressPlan } from '../lib/model/addressing.ts';
import {
  type AddressNeeds,
  type Conflict,
  type Judgement,
  type OwnedRange,
  describeRange,
  judgeAddressing,
} from '../lib/model/addressingRules.ts';
import { NODE_ADDRESSES, POD_ADDRESSES, SERVICE_ADDRESSES } from '../lib/model/budgets.ts';
import type { CauseCode } from '../lib/model/causes.ts';
import { type Suite, type Toolkit, defineCheck } from '../lib/model/check.ts';
import { type Verdict, failed, passed } from '../lib/model/verdict.ts';

/** How many conflicts a verdict spells out; a hundred clusters with one range have thousands. */
const SHOWN = 10;

const DEFAULT_NEEDS: AddressNeeds = {
  pods: POD_ADDRESSES.value,
  services: SERVICE_ADDRESSES.value,
  nodes: NODE_ADDRESSES.value,
};

/** What these checks share: they read the plan only, before anything is created. */
const OF_THE_PLAN = {
  level: 'core',
  scope: 'fleet',
  familyless: true,
  planOnly: true,
  withoutFaults: 'The plan is judged before there is anything to break; its faults are its own ranges',
  observe: ({ plan }: Toolkit): Promise<AddressPlan> => Promise.resolve(plan),
} as const;

export const overlap = defineCheck({
  ...OF_THE_PLAN,
  id: 'addressing.overlap',
  title: 'No two ranges of the fleet share an address',
  hint: 'Give one of the two owners another range (`clusters` in mcnet.yaml), such as the free one that is named',
  reference: 'RFC 1918, section 4: networks that are joined must not use the same private addresses',

  judge: (plan) =>
    judgeConflicts('overlap', 'ranges-overlap', judgeAddressing(plan, DEFAULT_NEEDS), {
      good: `${countRanges(plan)} ranges, none shares an address with another`,
      expected: 'pod, service, node, wan and tunnel ranges apart, between and inside clusters',
    }),
});

export const withinPlan = defineCheck({
  ...OF_THE_PLAN,
  id: 'addressing.plan',
  requires: ['planned-addresses'],
  title: 'Every range of a cluster lies in the pool of the fleet',
  hint: 'Take a range from the pool, such as the free one that is named, or state the pool that is really used',
  reference: 'RFC 1918, section 3; RFC 4193, section 3',

  judge: (plan) =>
    judgeConflicts('outside', 'range-outside-plan', judgeAddressing(plan, DEFAULT_NEEDS), {
      good: `Every range lies in ${poolsOf(plan)}`,
      expected: `every range in ${poolsOf(plan)}`,
    }),
});

export const capacity = defineCheck({
  ...OF_THE_PLAN,
  id: 'addressing.capacity',
  title: 'Every range has room for what it must hold',
  hint: 'Choose a shorter prefix for the range, or a shorter `addressing.prefix` for all sites',
  reference: 'Kubernetes: --cluster-cidr, --node-cidr-mask-size and --service-cluster-ip-range',
  budgets: { pods: POD_ADDRESSES, services: SERVICE_ADDRESSES, nodes: NODE_ADDRESSES },

  judge: (plan, needs) =>
    judgeConflicts('too-small', 'range-too-small', judgeAddressing(plan, needs), {
      good: `Every range has at least ${needs.pods} pod, ${needs.services} service or ${needs.nodes} node addresses`,
      expected: `at least ${needs.pods} pod, ${needs.services} service and ${needs.nodes} node addresses in each cluster`,
    }),
});

function judgeConflicts(
  kind: Conflict['kind'],
  cause: CauseCode,
  { conflicts, proposals }: Judgement,
  say: { good: string; expected: string },
): Verdict {
  const mine = conflicts.filter((conflict) => conflict.kind === kind);
  const [worst] = mine;
  if (!worst) return passed(say.good);
  const advice = proposals
    .filter(({ instead }) =>
      mine.some((conflict) => rangesOf(conflict).some((range) => isSame(range, instead))),
    )
    .map(({ instead, free }) =>
      free
        ? `${free} instead of ${describeRange(instead)}`
        : `the pool has no room for ${describeRange(instead)}`,
    );
  const others = mine.length === 1 ? '' : ` (and ${mine.length - 1} more)`;
  return failed(cause, `${describe(worst)}${others}`, {
    expected: [say.expected, advice.length > 0 ? `free: ${shorten(advice)}` : ''].filter(Boolean).join('; '),
    seen: shorten(mine.map(describe)),
    figures: { conflicts: { value: mine.length, unit: 'conflicts' } },
  });
}

function describe(conflict: Conflict): string {
  switch (conflict.kind) {
    case 'overlap': {
      const { first, second, shared } = conflict;
      return `${describeRange(first)} and ${describeRange(second)} share ${shared}`;
    }
    case 'outside':
      return `${describeRange(conflict.range)} is outside ${conflict.pool}`;
    case 'too-small':
      return `${describeRange(conflict.range)} has fewer than ${conflict.needed} addresses`;
  }
}

const rangesOf = (conflict: Conflict): OwnedRange[] =>
  conflict.kind === 'overlap' ? [conflict.first, conflict.second] : [conflict.range];

const isSame = (a: OwnedRange, b: OwnedRange): boolean => describeRange(a) === describeRange(b);

const shorten = (texts: readonly string[]): string =>
  [...texts.slice(0, SHOWN), ...(texts.length > SHOWN ? [`and ${texts.length - SHOWN} more`] : [])].join(
    '; ',
  );

function poolsOf({ pool, ipv6Pool, wan }: AddressPlan): string {
  return [wan.ipv4 && pool, wan.ipv6 && ipv6Pool].filter(Boolean).join(' and ');
}

function countRanges({ clusters, wan, tunnel }: AddressPlan): number {
  const ofClusters = Object.values(clusters).flatMap((ranges) => Object.values(ranges));
  return [...ofClusters, wan, tunnel].flatMap((range) => Object.values(range)).length;
}

export const addressing: Suite = {
  id: 'addressing',
  title: 'The address plan holds: nothing overlaps, nothing strays, everything fits',
  checks: [overlap, withinPlan, capacity],
};
