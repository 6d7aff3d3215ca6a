import t from 'tap';
import type { AnyCheck } from '../../lib/model/check.ts';
import type { Aim } from '../../lib/model/prove.ts';
import { type ProofPlanOptions, batchesOf, planProof } from '../../lib/run/provePlan.ts';
import { registryOf } from '../../lib/run/registry.ts';
import { checkOf, plannedCase, suiteOf, topologyOf } from './support.ts';

const pairCheck = checkOf('net.tcp', {
  faults: [
    { kind: 'wan-drop', cause: 'request-lost' },
    { kind: 'wan-drop', cause: 'reply-lost' },
  ],
});
const sizeCheck = checkOf('net.size', {
  dependsOn: ['net.tcp'],
  faults: [{ kind: 'mtu-lowered', cause: 'mtu-asymmetric' }],
});
const clusterCheck = checkOf('net.dns', {
  scope: 'cluster',
  faults: [{ kind: 'dns-stopped', cause: 'dns-timeout' }],
});
const bareCheck = checkOf('net.bare', { withoutFaults: 'it breaks things itself' });
const CHECKS: readonly AnyCheck[] = [pairCheck, sizeCheck, clusterCheck, bareCheck];
const NAMES = ['east', 'west', 'north'];

const casesOf = (check: AnyCheck) =>
  check.scope === 'cluster'
    ? NAMES.map((cluster) =>
        plannedCase({
          id: `${check.id}[${cluster}]`,
          check: check.id,
          subject: { scope: 'cluster', cluster },
        }),
      )
    : NAMES.flatMap((from) =>
        NAMES.filter((to) => to !== from).map((to) =>
          plannedCase({
            id: `${check.id}[${from}->${to}]`,
            check: check.id,
            subject: { scope: 'pair', from, to },
            dependsOn: ['net.tcp[east->west]'],
          }),
        ),
      );

const CASES = CHECKS.flatMap(casesOf);
const options = (
  changes: Partial<ProofPlanOptions['spec']> = {},
  how: Partial<Omit<ProofPlanOptions, 'spec'>> = {},
): ProofPlanOptions => ({
  spec: { pairs: { kind: 'all' }, seed: 'seed', topology: topologyOf(NAMES), ...changes },
  registry: registryOf([suiteOf('net', ...CHECKS)]),
  pathMtu: 1420,
  overhead: 60,
  faults: [],
  graded: false,
  blastRadius: false,
  ...how,
});

t.test('one case of each check, all at the same place, and none waits for another', async (t) => {
  const { cases } = planProof(CASES, options());
  t.same(
    cases.map(({ check }) => check),
    CHECKS.map(({ id }) => id),
  );
  const pairs = cases.flatMap(({ subject }) => (subject.scope === 'pair' ? [subject] : []));
  t.equal(new Set(pairs.map(({ from, to }) => `${from}->${to}`)).size, 1);
  const [cluster] = cases.flatMap(({ subject }) => (subject.scope === 'cluster' ? [subject.cluster] : []));
  t.equal(cluster, pairs[0]?.to);
  t.same(
    cases.flatMap(({ dependsOn }) => dependsOn),
    [],
  );
  t.same(
    planProof(CASES.toReversed(), options())
      .cases.map(({ id }) => id)
      .toSorted(),
    cases.map(({ id }) => id).toSorted(),
  );
});

t.test('as many cases as asked for', async (t) => {
  const all = planProof(CASES, options({ pairs: { kind: 'all', explicit: true } }));
  t.equal(all.cases.length, CASES.length);
  const two = planProof(CASES, options({ pairs: { kind: 'sample', count: 2 } }));
  t.equal(two.cases.length, 2 * CHECKS.length);
});

t.test('cases that are skipped are not proved', async (t) => {
  const { cases } = planProof(
    CASES.map((one) => (one.check === 'net.tcp' ? { ...one, skip: 'not here' } : one)),
    options(),
  );
  t.notOk(cases.some(({ check }) => check === 'net.tcp'));
});

t.test('a fault stands once for all that name it; sizes only when asked for', async (t) => {
  const { batches, withoutFaults } = planProof(CASES, options());
  t.same(
    batches.map(({ aims }) => aims.map(({ check, cause }) => `${check} ${cause}`)),
    [['net.tcp request-lost'], ['net.tcp reply-lost'], ['net.size mtu-asymmetric'], ['net.dns dns-timeout']],
  );
  t.same(withoutFaults, [{ check: 'net.bare', reason: 'it breaks things itself' }]);
  const graded = planProof(CASES, options({}, { graded: true })).batches.flatMap(({ aims }) => aims);
  t.same(
    graded.filter(({ check }) => check === 'net.size').map(({ size, gross }) => [size, gross]),
    [
      ['100 bytes', true],
      ['1 byte', false],
    ],
  );
});

t.test('only the faults that were asked for, on the checks that name them', async (t) => {
  const of = (how: Partial<ProofPlanOptions>) => {
    const { cases, batches, withoutFaults } = planProof(CASES, options({}, how));
    const causes = batches.flatMap(({ aims }) => aims.map(({ cause }) => cause));
    return [cases.map(({ check }) => check), causes, withoutFaults];
  };
  t.strictSame(of({ faults: ['wan-drop'] }), [['net.tcp'], ['request-lost', 'reply-lost'], []]);
  t.strictSame(of({ faults: ['mtu-*', 'dns-stopped'] }), [
    ['net.size', 'net.dns'],
    ['mtu-asymmetric', 'dns-timeout'],
    [],
  ]);
  const everybody = CHECKS.map(({ id }) => id);
  t.strictSame(of({ faults: ['dns-*'], blastRadius: true }), [everybody, ['dns-timeout'], []]);
  t.throws(() => of({ faults: ['wan-drop', 'dns-stoped'] }), {
    name: 'UserError',
    message: /"dns-stoped"/,
    where: '--fault',
    remedy: /"dns-stopped"/,
  });
});

t.test('services of one cluster are withdrawn together, those of another apart', async (t) => {
  const aimAt = (cluster: string, service: string): Aim => ({
    case: `x[${cluster}]`,
    check: 'x',
    kind: 'service-not-shared',
    cause: 'no-failover',
    faults: [{ kind: 'service-not-shared', cluster, namespace: 'apps', service }],
    gross: true,
  });
  const batches = batchesOf([aimAt('west', 'a'), aimAt('east', 'a'), aimAt('west', 'b'), aimAt('west', 'a')]);
  t.same(
    batches.map(({ faults, aims }) => [faults.length, aims.length]),
    [
      [2, 3],
      [1, 1],
    ],
  );
});
