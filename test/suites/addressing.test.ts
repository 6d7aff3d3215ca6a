import t from 'tap';
import { planAddresses } from '../../lib/config/addressing.ts';
import type { AddressPlan } from '../../lib/model/addressing.ts';
import type { AnyCheck, Toolkit } from '../../lib/model/check.ts';
import { addressing, capacity, overlap, withinPlan } from '../../suites/addressing.ts';
import { judge, outcomeOf } from './judging.ts';

const planOf = (clusters: Parameters<typeof planAddresses>[0]['clusters'], prefix = 12): AddressPlan =>
  planAddresses({
    clusters,
    families: ['ipv4', 'ipv6'],
    pool: '10.0.0.0/8',
    prefix,
    ipv6Pool: 'fd6d:636e:6574::/48',
  });
const outcomes = (plan: AddressPlan): string[] =>
  [overlap, withinPlan, capacity].map((check) => outcomeOf(judge(check, plan)));

const observe = (check: AnyCheck, toolkit: Toolkit): Promise<unknown> => check.observe(toolkit, {});

void t.test('a default plan passes, and only the plan is read', async (test) => {
  const plan = planOf(Array.from({ length: 100 }, (_, index) => ({ name: `c${index + 1}` })));
  test.strictSame(outcomes(plan), ['passed', 'passed', 'passed']);
  for (const check of addressing.checks) {
    test.equal(check.planOnly, true);
    test.equal(await observe(check, { plan } as Toolkit), plan);
  }
});

void t.test('each fault has its own cause', async (test) => {
  const pods = (ipv4: string) => planOf([{ name: 'east' }, { name: 'west', pods: { ipv4 } }]);
  test.strictSame(outcomes(pods('10.0.0.0/13')), ['failed: ranges-overlap', 'passed', 'passed']);
  test.strictSame(outcomes(pods('192.168.0.0/16')), ['passed', 'failed: range-outside-plan', 'passed']);
  test.strictSame(outcomes(pods('10.16.0.0/28')), ['passed', 'passed', 'failed: range-too-small']);
});

void t.test('a failure says who, what and what to use instead', async (test) => {
  const verdict = judge(overlap, planOf([{ name: 'east' }, { name: 'west', pods: { ipv4: '10.1.0.0/16' } }]));
  test.equal(verdict.reason, 'east pods 10.0.0.0/13 and west pods 10.1.0.0/16 share 10.1.0.0/16');
  test.match(verdict.expected, 'free: 10.32.0.0/16 instead of west pods 10.1.0.0/16');
  test.notMatch(verdict.expected, 'instead of east');
});

void t.test('thousands of conflicts stay readable', async (test) => {
  const pods = { ipv4: '10.244.0.0/16' };
  const names = Array.from({ length: 100 }, (_, index) => `c${index + 1}`);
  const verdict = judge(overlap, planOf(names.map((name) => ({ name, pods }))));
  test.match(verdict.reason, /\(and \d{4} more\)$/);
  test.match(verdict.figures, { conflicts: { unit: 'conflicts' } });
  test.ok((verdict.seen ?? '').length < 2_000);
  test.ok((verdict.expected ?? '').length < 2_000);
});

void t.test('capacity follows its budgets', async (test) => {
  const plan = planOf([{ name: 'east' }], 26);
  test.match(judge(capacity, plan).reason, 'east pods 10.0.0.0/27 has fewer than 256 addresses');
  test.equal(capacity.judge(plan, { pods: 16, services: 8, nodes: 4 }, {} as never).status, 'passed');
});
