import t from 'tap';
import { GOVERNED_PORTS, governed } from '../../fixtures/policy.ts';
import type { AnyCheck } from '../../lib/model/check.ts';
import {
  type CellExpectation,
  type PolicyIntent,
  type PolicySemantics,
  expectedOfPolicy,
} from '../../lib/model/intent.ts';
import type { Exchange } from '../../lib/model/probe.ts';
import { type Protocol, keyOf } from '../../lib/model/workload.ts';
import {
  canaryEgress,
  canaryIngress,
  consistency,
  established,
  localTable,
  policy,
  truthTable,
} from '../../suites/policy.ts';
import { type Cell, type Table, cellCount } from '../../suites/support/cells.ts';
import { judge, outcomeOf } from './judging.ts';
import { exchange, times } from './samples.ts';

const SEMANTICS: PolicySemantics = {
  protocols: ['tcp', 'udp'],
  selectorsMatchRemote: true,
  refusal: 'silence',
};
const INTENTS = (governed.intents ?? []) as PolicyIntent[];

/** The table as a cluster that does what the policies say shows it. */
function table(from: string, to: string, semantics = SEMANTICS): Table {
  const cells = governed.workloads.flatMap((source) =>
    governed.workloads
      .filter((target) => from !== to || target !== source)
      .flatMap((target) =>
        GOVERNED_PORTS.flatMap((port) =>
          (['tcp', 'udp'] as Protocol[]).map((protocol): Cell => {
            const expected = expectedOfPolicy(INTENTS, semantics, {
              from: { cluster: from, ...source },
              to: { cluster: to, ...target },
              port,
              protocol,
            });
            return {
              source: keyOf(source),
              target: keyOf(target),
              address: '10.16.0.9',
              port,
              protocol,
              expected,
              outcomes: expected === 'allow' ? ['answered'] : ['timed-out', 'timed-out'],
              arrived: false,
            };
          }),
        ),
      ),
  );
  return { from, to, cells };
}

/** The table with some cells changed. */
const changed = (whole: Table, which: (cell: Cell) => boolean, change: Partial<Cell>): Table => ({
  ...whole,
  cells: whole.cells.map((cell) => (which(cell) ? { ...cell, ...change } : cell)),
});
const is = (source: string, target: string, port: number, protocol: string) => (cell: Cell) =>
  cell.source.endsWith(source) &&
  cell.target.endsWith(target) &&
  cell.port === port &&
  cell.protocol === protocol;
const isDenied = ({ expected }: Cell) => expected === 'deny';

t.test('the standing policies make the table that their documentation draws', async (t) => {
  const { cells } = table('east', 'west');
  const row = (source: string) =>
    ['x/a', 'x/b', 'y/a']
      .map((target) =>
        (['tcp', 'udp'] as const)
          .flatMap((protocol) => GOVERNED_PORTS.map((port) => is(source, target, port, protocol)))
          .map((matches) => (cells.find(matches)?.expected === 'allow' ? 'A' : 'D'))
          .join(''),
      )
      .join(' ');
  t.same(['x/a', 'x/b', 'y/a'].map(row), ['AADD AAAD DDDD', 'AADD ADDD AAAA', 'DDAA ADDA DDDD']);
});

t.test('every refusal has its positive controls, within a cluster and between two', async (t) => {
  for (const { from, to, cells } of [table('east', 'east'), table('east', 'west')]) {
    t.equal(cells.length, cellCount(from === to));
    const allowed = cells.filter(({ expected }) => expected === 'allow');
    for (const { source, target, port, protocol } of cells) {
      t.ok(
        allowed.some((cell) => cell.target === target && cell.port === port && cell.protocol === protocol),
        `${from}->${to}: somebody may call ${target} ${protocol} ${port}`,
      );
      t.ok(
        allowed.some((cell) => cell.source === source),
        `${from}->${to}: ${source} may call somebody`,
      );
    }
  }
});

t.test(
  'where selectors see their own cluster only, its neighbours show that a target is alive',
  async (t) => {
    const own: PolicySemantics = { ...SEMANTICS, selectorsMatchRemote: false };
    const whole = table('east', 'west', own);
    const answered = ({ outcomes }: Cell) => outcomes.includes('answered');
    t.ok(whole.cells.some(answered), 'something of another cluster is let in');
    t.ok(whole.cells.some(isDenied), 'and something is not');
    const controls = table('west', 'west', own).cells;
    t.equal(outcomeOf(judge(truthTable, { ...whole, controls })), 'passed');
    const dead = controls.map((cell) =>
      cell.target.endsWith('x/a') ? { ...cell, outcomes: ['timed-out' as const] } : cell,
    );
    t.equal(
      outcomeOf(judge(truthTable, { ...whole, controls: dead })),
      'inconclusive: control-failed',
      'nothing shows that x/a would answer',
    );
  },
);

t.test('a cluster without ingress or without egress rules is noticed by others', async (t) => {
  const without = (direction: 'ingress' | 'egress'): CellExpectation[] =>
    governed.workloads.flatMap((source) =>
      governed.workloads.flatMap((target) =>
        GOVERNED_PORTS.flatMap((port) =>
          (['tcp', 'udp'] as const).map((protocol) =>
            expectedOfPolicy(
              INTENTS.filter((intent) => intent.direction !== direction),
              SEMANTICS,
              { from: { cluster: 'east', ...source }, to: { cluster: 'west', ...target }, port, protocol },
            ),
          ),
        ),
      ),
    );
  const allowed = (cells: CellExpectation[]) => cells.filter((cell) => cell === 'allow').length;
  const all = allowed(table('east', 'west').cells.map(({ expected }) => expected));
  t.ok(allowed(without('ingress')) > all, 'calls into it');
  t.ok(allowed(without('egress')) > all, 'calls out of it');
});

for (const [check, whole] of [
  [truthTable, table('east', 'west')],
  [localTable, table('east', 'east')],
] as [AnyCheck, Table][]) {
  t.test(check.id, async (t) => {
    const allowed = is('x/b', 'y/a', 7001, 'udp');
    const denied = is('x/a', 'y/a', 7001, 'udp');
    const cases: [string, object, string][] = [
      ['healthy', whole, 'passed'],
      [
        'policies flushed',
        changed(whole, isDenied, { outcomes: ['answered'] }),
        'failed: policy-not-enforced',
      ],
      [
        'one forbidden cell open',
        changed(whole, denied, { outcomes: ['answered'] }),
        'failed: policy-not-enforced',
      ],
      [
        'opens before the window ends',
        changed(whole, denied, { outcomes: ['timed-out', 'answered'] }),
        'failed: policy-not-enforced',
      ],
      [
        'only the answer is stopped',
        changed(whole, denied, { arrived: true }),
        'failed: policy-not-enforced',
      ],
      [
        'one allowed cell refused',
        changed(whole, allowed, { outcomes: ['timed-out', 'timed-out'] }),
        'failed: policy-too-strict',
      ],
      [
        'an allowed request arrives, its answer does not',
        changed(whole, allowed, { outcomes: ['timed-out', 'timed-out'], arrived: true }),
        'failed: policy-too-strict',
      ],
      [
        'lost once, answered the second time',
        changed(whole, allowed, { outcomes: ['timed-out', 'answered'] }),
        'passed',
      ],
      [
        'refused by a reset instead of silence',
        changed(whole, isDenied, { outcomes: ['refused', 'refused'] }),
        'passed',
      ],
      [
        'somebody else answers',
        changed(whole, allowed, { stranger: 'north/mcnet-policy-y/a' }),
        'failed: wrong-answerer',
      ],
      [
        'nothing is answered',
        changed(whole, () => true, { outcomes: ['timed-out', 'timed-out'] }),
        'failed: policy-too-strict',
      ],
      ['probe broken', changed(whole, denied, { outcomes: ['error'] }), 'inconclusive: probe-failed'],
      ['a cell not tried', changed(whole, denied, { outcomes: [] }), 'inconclusive: probe-failed'],
      ['a cell missing', { ...whole, cells: whole.cells.slice(1) }, 'inconclusive: probe-failed'],
      [
        'a cell twice, another missing',
        { ...whole, cells: [...whole.cells.slice(1), whole.cells[1]] },
        'inconclusive: probe-failed',
      ],
      [
        'an outcome that nobody knows',
        changed(whole, denied, { outcomes: ['fine' as 'answered'] }),
        'inconclusive: probe-failed',
      ],
      [
        'arrivals not asked for',
        changed(whole, denied, { arrived: null as unknown as boolean }),
        'inconclusive: probe-failed',
      ],
      ['no cells', { ...whole, cells: [] }, 'inconclusive: probe-failed'],
      [
        'no policy stands',
        changed(whole, () => true, { expected: 'allow', outcomes: ['answered'] }),
        'inconclusive: control-failed',
      ],
      [
        'everything is forbidden, and nothing shows that anybody lives',
        changed(whole, () => true, { expected: 'deny', outcomes: ['timed-out', 'timed-out'] }),
        'inconclusive: control-failed',
      ],
      [
        'no control for a refusal: what is allowed there cannot be expressed',
        changed(whole, ({ target, expected }) => target.endsWith('y/a') && expected === 'allow', {
          expected: 'inexpressible',
          outcomes: ['timed-out', 'timed-out'],
        }),
        'inconclusive: control-failed',
      ],
      ['nothing can be expressed', changed(whole, () => true, { expected: 'inexpressible' }), 'skipped'],
    ];
    for (const [name, observed, expected] of cases)
      t.equal(outcomeOf(judge(check, observed)), expected, name);
    const { expected, seen } = judge(check, changed(whole, denied, { outcomes: ['answered'] }));
    t.match(expected, 'refused: mcnet-policy-x/a → mcnet-policy-y/a UDP 7001', 'the cell is named');
    t.equal(seen, 'answered: mcnet-policy-x/a → mcnet-policy-y/a UDP 7001', 'with what happened to it');
  });
}

t.test('policy.consistency', async (t) => {
  const names = ['east', 'west', 'north'];
  const tables = names.flatMap((from) => names.map((to) => table(from, to)));
  const fleet = (change: (whole: Table) => Table = (whole) => whole) => ({
    clusters: names,
    tables: tables.map(change),
  });
  const verdictOf = (observed: object) => judge(consistency, observed, { clusters: names });
  const flushedWest = fleet((whole) =>
    whole.to === 'west'
      ? changed(whole, ({ target }) => target.includes('-x/'), { outcomes: ['answered'] })
      : whole,
  );
  const cases: [string, object, string][] = [
    ['all agree', fleet(), 'passed'],
    ['one cluster flushed', flushedWest, 'failed: policy-differs'],
    [
      'one cell of one pair',
      fleet((whole) =>
        whole.from === 'east' && whole.to === 'north'
          ? changed(whole, is('y/a', 'x/b', 7001, 'tcp'), { outcomes: ['answered'] })
          : whole,
      ),
      'failed: policy-differs',
    ],
    [
      'one cluster is dead',
      fleet((whole) =>
        whole.to === 'west' ? changed(whole, () => true, { outcomes: ['timed-out', 'timed-out'] }) : whole,
      ),
      'inconclusive: control-failed',
    ],
    [
      'one cluster refuses whatever comes from outside',
      fleet((whole) =>
        whole.to === 'west' && whole.from !== 'west'
          ? changed(whole, () => true, { outcomes: ['timed-out', 'timed-out'] })
          : whole,
      ),
      'failed: policy-differs',
    ],
    ['a cluster unseen', { clusters: names, tables: tables.slice(1) }, 'inconclusive: probe-failed'],
    [
      'a cell missing',
      fleet((whole) => ({ ...whole, cells: whole.cells.slice(1) })),
      'inconclusive: probe-failed',
    ],
    ['nothing observed', { clusters: names, tables: [] }, 'inconclusive: probe-failed'],
    [
      'nothing to compare with',
      { clusters: ['east'], tables: tables.slice(0, 1) },
      'inconclusive: probe-failed',
    ],
  ];
  for (const [name, observed, expected] of cases) t.equal(outcomeOf(verdictOf(observed)), expected, name);
  const { reason, seen } = verdictOf(flushedWest);
  t.match(reason, 'every one of them involves west');
  t.match(
    seen,
    /remote, allowed east->west north->west, refused east->north \S+ \S+ \S+: mcnet-policy-x\/a → mcnet-policy-x\/a UDP 7000/,
  );
  t.equal(
    seen?.match(/(?:TCP|UDP) 700\d/g)?.length,
    judge(consistency, flushedWest, { clusters: names }).figures?.differing?.value,
    'each cell is named',
  );
});

for (const check of [canaryIngress, canaryEgress]) {
  t.test(check.id, async (t) => {
    const open = () => times(2, exchange);
    const closed = () => times(2, () => exchange({ outcome: 'timed-out' }));
    const half = () => [exchange(), exchange({ protocol: 'udp', outcome: 'timed-out' })];
    const converged = (last: Exchange[], more: object = {}) => ({
      converged: true,
      attempts: 3,
      elapsedMs: 4,
      last,
      ...more,
    });
    const never = { converged: false, attempts: 60, elapsedMs: 30_000 };
    const observation = (more: object = {}) => ({
      cluster: 'east',
      caller: 'mcnet-policy-canary/b',
      target: 'mcnet-policy-canary/a',
      address: '10.0.0.9',
      before: open(),
      closing: converged(closed()),
      held: closed(),
      opening: converged(open()),
      ...more,
    });
    const cases: [string, object, string][] = [
      ['healthy', {}, 'passed'],
      ['never closed', { closing: converged(open(), never), held: open() }, 'failed: cni-does-not-enforce'],
      ['only UDP closed', { closing: converged(half(), never), held: half() }, 'failed: policy-not-enforced'],
      ['does not hold', { held: half() }, 'failed: policy-not-enforced'],
      ['never opens again', { opening: converged(closed(), never) }, 'failed: policy-too-strict'],
      ['never was open', { before: closed() }, 'inconclusive: control-failed'],
      ['nothing called before', { before: [] }, 'inconclusive: probe-failed'],
      ['nothing called under the deny', { closing: converged([]) }, 'inconclusive: probe-failed'],
      [
        'an outcome missing',
        { held: times(2, () => ({ ...exchange(), outcome: undefined })) },
        'inconclusive: probe-failed',
      ],
      ['nothing called at the end', { held: [] }, 'inconclusive: probe-failed'],
      ['nothing called after it', { opening: converged([]) }, 'inconclusive: probe-failed'],
      [
        'probe broken',
        { held: times(2, () => exchange({ outcome: 'error' })) },
        'inconclusive: probe-failed',
      ],
    ];
    for (const [name, change, expected] of cases)
      t.equal(outcomeOf(judge(check, observation(change))), expected, name);
  });
}

t.test('policy.established', async (t) => {
  const samples = (outcomeAt: (at: number) => string, until = 4_000) => ({
    startedAtMs: 0,
    samples: Array.from({ length: until / 50 }, (_, index) => ({
      at: 50 * index,
      latencyMs: 1,
      outcome: outcomeAt(50 * index),
    })),
  });
  const observation = (more: object = {}) => ({
    cluster: 'east',
    caller: 'mcnet-policy-canary/b',
    sampling: samples(() => 'answered'),
    deniedAtMs: 1_000,
    fresh: times(2, () => exchange({ outcome: 'timed-out' })),
    ...more,
  });
  const cut = observation({ sampling: samples((at) => (at < 1_500 ? 'answered' : 'timed-out')) });
  const cases: [string, object, string][] = [
    ['kept', observation(), 'passed'],
    ['cut', cut, 'passed'],
    ['dead before', observation({ sampling: samples(() => 'timed-out') }), 'inconclusive: control-failed'],
    ['no samples after it', observation({ deniedAtMs: 9_000 }), 'inconclusive: control-failed'],
    ['no samples', observation({ sampling: samples(() => 'answered', 0) }), 'inconclusive: control-failed'],
    ['new connections pass', observation({ fresh: times(2, exchange) }), 'inconclusive: control-failed'],
    ['no new connection tried', observation({ fresh: [] }), 'inconclusive: probe-failed'],
  ];
  for (const [name, observed, expected] of cases)
    t.equal(outcomeOf(judge(established, observed)), expected, name);
  t.same(judge(established, cut).figures, { 'cut after': { value: 450, unit: 'ms' } });
  t.same(judge(established, observation()).figures, { 'kept for at least': { value: 2_950, unit: 'ms' } });
});

t.test('every check can be shown to fail, or says why not', async (t) => {
  for (const check of policy.checks) {
    t.ok((check.faults?.length ?? 0) > 0 !== (check.withoutFaults !== undefined), check.id);
  }
});
