/** The check of the suite `policy` that asks who calls, not from where. */
import { GUARDED, INTRUDER, guarded, guardedService } from '../fixtures/identities.ts';
import { CLIENT, client } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS, DENY_HOLDS_MS } from '../lib/model/budgets.ts';
import { defineCheck } from '../lib/model/check.ts';
import { SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { callCommand, countOutcomes } from './support/calls.ts';
import {
  answerers,
  callUntilAllAnswer,
  callsToMeetAll,
  reachableFrom,
  sameCalls,
} from './support/services.ts';

/** What the same policy made of the same two callers, seen from one cluster. */
interface View {
  readonly from: string;
  readonly address: string;
  readonly reachable: readonly string[];
  readonly allowed: readonly Exchange[];
  readonly refused: readonly Exchange[];
}

export const byIdentity = defineCheck({
  id: 'policy.identity',
  title: 'A policy by identity has the same effect in every cluster, wherever the caller is',
  level: 'core',
  scope: 'fleet',
  classes: SERVICE_CLASSES,
  requires: ['mtls', 'share-service'],
  uses: [client, guarded],
  mostlyWaits: true,
  quiet: true,
  budgets: { holds: DENY_HOLDS_MS },
  faults: [{ kind: 'identity-policy-missing', cause: 'policy-differs' }],
  hint: 'Compare the policies by identity of all clusters: none distributes them to the others',
  reference: 'https://istio.io/latest/docs/reference/config/security/authorization-policy/',
  timeoutMs: 120_000,

  async observe(context, { holds }) {
    const { clusters, family } = context;
    const views = await Promise.all(
      clusters.map(async (view): Promise<View> => {
        const address = view.sharedService(guardedService).addresses[family] ?? '';
        const reachable = reachableFrom(view.name, context).map(({ name }) => name);
        const call = { protocol: 'http' as const, address, port: PORTS.service };
        const { last: allowed } = await context.converge(
          () => callUntilAllAnswer(view.site(CLIENT), call, reachable),
          {
            succeeded: (calls) => reachable.every((name) => answerers(calls).includes(name)),
            budgetMs: CONVERGENCE_MS.value / 2,
            successes: 1,
          },
        );
        const many = callsToMeetAll(reachable.length);
        const intrude = () => view.site(INTRUDER).exchange(sameCalls(call, many));
        const { last: first } = await context.converge(intrude, {
          succeeded: (calls) => answerers(calls).length === 0,
          budgetMs: Math.max(0, context.standingDue - context.elapsed()),
          successes: 1,
        });
        await context.sleep(holds);
        const last = await intrude();
        return { from: view.name, address, reachable, allowed, refused: [...first, ...last] };
      }),
    );
    return { views };
  },

  judge({ views }) {
    if (views.length === 0) return inconclusive('probe-failed', 'Nothing was called');
    const clusters = [...new Set(views.flatMap(({ reachable }) => reachable))].toSorted();
    const open = clusters.filter((name) => views.some(({ refused }) => answerers(refused).includes(name)));
    const shut = clusters.filter((name) =>
      views.some(({ reachable, allowed }) => reachable.includes(name) && !answerers(allowed).includes(name)),
    );
    const [first] = views as [View];
    const details = {
      expected: `${CLIENT} is answered by ${GUARDED} in ${clusters.join(', ')}, and ${INTRUDER} by none of them`,
      seen: views
        .map(
          ({ from, allowed, refused }) =>
            `from ${from}: ${CLIENT} by ${answerers(allowed).join(', ') || 'nobody'}${countOutcomes(allowed) && ` (${countOutcomes(allowed)})`}, ${INTRUDER} by ${answerers(refused).join(', ') || 'nobody'}`,
        )
        .join('; '),
      reproduce: {
        at: `${first.from}/${INTRUDER}`,
        command: callCommand('http', first.address, PORTS.service),
      },
    };
    if (open.length > 0) {
      return open.length < clusters.length
        ? failed(
            'policy-differs',
            `${open.join(', ')} lets in whom the policy refuses, the others do not`,
            details,
          )
        : failed('identity-not-enforced', 'No cluster refuses whom the policy refuses', details);
    }
    if (shut.length === 0) {
      return passed(`the one who may is answered by ${clusters.join(', ')}, the other by none`);
    }
    // Refused by a proxy, and answered elsewhere: that is a policy. Silence and resets are somebody else's business.
    const byProxy = views.some(({ allowed }) => allowed.some(({ status }) => status === 403));
    return byProxy && shut.length < clusters.length
      ? failed(
          'policy-differs',
          `${shut.join(', ')} refuses whom the policy allows, the others do not`,
          details,
        )
      : inconclusive(
          'control-failed',
          `The one who may is not answered by ${shut.join(', ')}, so refusals prove nothing`,
          { seen: details.seen },
        );
  },
});
