/** The check of the suite `policy` about policies that name no cluster. */
import { SCOPED_CALLER, SCOPED_TARGET, scoped, unsaidScope } from '../fixtures/policy.ts';
import { CONVERGENCE_MS, DENY_HOLDS_MS } from '../lib/model/budgets.ts';
import { type PairContext, type Site, defineCheck } from '../lib/model/check.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { type Verdict, failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { callCommand, countOutcomes, malformed } from './support/calls.ts';

const CALLS = 4;
const CALL_TIMEOUT_MS = 500;

/** What callers of the own and of the other cluster saw at one time. */
interface Look {
  readonly own: readonly Exchange[];
  readonly other: readonly Exchange[];
}

interface Scope {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Whom the technology says that such a policy means. */
  readonly means: 'local' | 'every' | 'unknown';
  readonly before: Look;
  /** When it came to be as it should, or in the end, and after the window. */
  readonly under: readonly Look[];
  readonly elapsedMs: number;
}

const call = (caller: Site, address: string): Promise<readonly Exchange[]> =>
  caller.exchange(
    Array.from({ length: CALLS }, () => ({
      protocol: 'tcp' as const,
      address,
      port: PORTS.echo,
      timeoutMs: CALL_TIMEOUT_MS,
    })),
  );

async function lookAt({ from, to }: PairContext, address: string): Promise<Look> {
  const [own, other] = await Promise.all(
    [to, from].map((cluster) => call(cluster.site(SCOPED_CALLER), address)),
  );
  return { own: own ?? [], other: other ?? [] };
}

const isOpen = (exchanges: readonly Exchange[]): boolean =>
  exchanges.every(({ outcome }) => outcome === 'answered');
const isClosed = (exchanges: readonly Exchange[]): boolean =>
  exchanges.every(({ outcome }) => outcome !== 'answered');

export const defaultScope = defineCheck({
  id: 'policy.default-scope',
  title: 'A policy that names no cluster means those clusters that the technology is configured to take',
  level: 'extended',
  scope: 'pair',
  requires: ['l3.pod', 'policy', 'policy.clusters'],
  dependsOn: ['reachability.tcp'],
  uses: [scoped],
  oneAtATime: 'of all',
  budgets: { convergence: CONVERGENCE_MS, holds: DENY_HOLDS_MS },
  faults: [{ kind: 'policy-ignored', cause: 'policy-not-enforced' }],
  hint: 'Name the cluster in every policy, or see how the technology is configured for policies that name none',
  reference: 'https://docs.cilium.io/en/stable/network/clustermesh/policy/',
  timeoutMs: 120_000,

  async observe(context, { convergence, holds }): Promise<Scope> {
    const { from, to, policySemantics } = context;
    const { address } = to.site(SCOPED_TARGET);
    const { unsaidCluster: means = 'unknown' } = policySemantics;
    const before = await lookAt(context, address);
    await context.apply(unsaidScope, to.name);
    const asConfigured = ({ own, other }: Look): boolean =>
      isOpen(own) && (means === 'local' ? isClosed(other) : isOpen(other));
    const { last, elapsedMs } = await context.converge(() => lookAt(context, address), {
      succeeded: asConfigured,
      budgetMs: convergence,
      successes: 2,
    });
    await context.sleep(holds);
    const held = await lookAt(context, address);
    return { from: from.name, to: to.name, address, means, before, under: [last, held], elapsedMs };
  },

  judge({ from, to, address, means, before, under, elapsedMs }): Verdict {
    if (means === 'unknown') return skipped('Nobody says whom such a policy means');
    const looks = [before, ...under];
    if (looks.length < 3) return inconclusive('probe-failed', 'It was not looked at often enough');
    const broken = looks
      .flatMap(({ own, other }) => [own, other])
      .map((exchanges) => malformed(exchanges, CALLS))
      .find(Boolean);
    if (broken) return broken;
    if (!isOpen(before.own) || !isOpen(before.other)) {
      return inconclusive(
        'control-failed',
        'Not everybody was answered before the policy stood, so refusals prove nothing',
      );
    }
    const detailsOf = (cluster: string, exchanges: readonly Exchange[]) => ({
      expected: `callers of ${to} are answered, those of ${from} ${means === 'local' ? 'are not' : 'too'}`,
      seen: `callers of ${cluster}: ${countOutcomes(exchanges) || 'all answered'}`,
      reproduce: { at: `${cluster}/${SCOPED_CALLER}`, command: callCommand('tcp', address, PORTS.echo) },
    });
    for (const { own, other } of under) {
      if (!isOpen(own)) {
        return failed('policy-too-strict', `The policy refuses even callers of ${to}`, detailsOf(to, own));
      }
      if (means === 'local' && !isClosed(other)) {
        return failed(
          'policy-not-enforced',
          `The policy of ${to} lets in callers of ${from}, though without a word it means its own cluster`,
          detailsOf(from, other),
        );
      }
      if (means === 'every' && !isOpen(other)) {
        return failed(
          'policy-too-strict',
          `The policy of ${to} refuses callers of ${from}, though without a word it means every cluster`,
          detailsOf(from, other),
        );
      }
    }
    return passed(`without a word it means ${means === 'local' ? 'its own cluster' : 'every cluster'}`, {
      'in force after': { value: elapsedMs, unit: 'ms' },
    });
  },
});
