import t from 'tap';
import { nodeHealth } from '../../suites/nodeHealth.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const called = (node: string, answered = 3) => ({
  node,
  address: '10.16.0.9',
  exchanges: [
    ...times(answered, () => answeredBy('west')),
    ...times(3 - answered, () => exchange({ outcome: 'timed-out' })),
  ],
});
const says = (to: string, reachable?: boolean) => ({
  from: 'e1',
  to,
  ...(reachable !== undefined && { reachable }),
  said: 'Endpoint 10.16.0.5, HTTP to agent: …',
});
const seen = {
  from: 'east',
  to: 'west',
  node: 'e1',
  nodes: 1,
  called: [called('w1')],
  said: [says('w1', true)],
  everyMs: 20_000,
  elapsedMs: 900,
};
const verdict = (more: object) => judge(nodeHealth, { ...seen, ...more });
const outcome = (more: object) => outcomeOf(verdict(more));

t.test('words and traffic say the same', async (t) => {
  t.match(verdict({}), { status: 'passed', figures: { 'probed every': { value: 20_000 } } });
  t.equal(outcome({ called: [called('w1', 0)], said: [says('w1', false)] }), 'failed: request-lost');
  const two = { nodes: 2, called: [called('w1'), called('w2', 0)] };
  t.equal(outcome({ ...two, said: [says('w1', true), says('w2', false)] }), 'failed: node-cut');
  t.match(verdict({ ...two, said: [says('w1', true), says('w2', false)] }).reason, /^w2 of west/);
});

t.test('a green status with dead traffic fails, and the reverse', async (t) => {
  const green = verdict({ called: [called('w1', 0)] });
  t.equal(outcomeOf(green), 'failed: status-contradicts-traffic');
  t.match(green.reason, /w1 of west is reachable, though a workload on it never answers/);
  const red = verdict({ said: [says('w1', false)] });
  t.equal(outcomeOf(red), 'failed: status-contradicts-traffic');
  t.match(red.reason, /do not say that w1 of west is reachable, though a workload on it answers/);
  t.match(red.seen, /e1 says w1: not reachable \(Endpoint/);
  t.equal(outcome({ said: [] }), 'failed: status-contradicts-traffic', 'it is not even known');
  t.equal(outcome({ said: [says('w1')] }), 'failed: status-contradicts-traffic', 'nor ever probed');
  t.equal(outcome({ called: [called('w1', 0)], said: [] }), 'failed: request-lost');
});

t.test('what cannot be compared', async (t) => {
  t.match(verdict({ off: 'nobody probes', said: [] }), { status: 'skipped', reason: 'nobody probes' });
  t.equal(outcome({ called: [called('w1', 2)] }), 'failed: packets-lost');
  t.equal(outcome({ called: [] }), 'inconclusive: probe-failed');
  t.equal(outcome({ node: '' }), 'inconclusive: probe-failed');
  t.equal(outcome({ called: [called('')] }), 'inconclusive: probe-failed');
});

t.test('a node that was probed before something changed has two more rounds to notice', async (t) => {
  const asked: { budgetMs?: number; started: object[]; looks: number } = { started: [], looks: 0 };
  const site = (node: string) => ({
    node,
    address: '10.16.0.9',
    exchange: async () => times(3, () => exchange({ outcome: 'timed-out' })),
  });
  const context = {
    from: { name: 'east', site: () => site('e1') },
    to: { name: 'west', site: () => site('w1') },
    nodes: async () => ['w1', 'w2'],
    startWorkload: async (spec: { node: string }) => {
      asked.started.push(spec);
      return site(spec.node);
    },
    // Stale at the first look.
    nodeHealth: async () => ({
      everyMs: 20_000,
      paths: [
        ...['w1', 'w2'].map((to) => ({ ...says(to, asked.looks++ < 2), probedAt: asked.looks })),
        { from: 'e2', to: 'w1', reachable: true, said: 'another node’s word' },
      ],
    }),
    elapsed: () => 0,
    converge: async (
      attempt: () => Promise<unknown>,
      options: { budgetMs: number; succeeded: (last: never) => boolean },
    ) => {
      asked.budgetMs = options.budgetMs;
      const last = await attempt();
      const { said } = last as { said: object[] };
      const agreed = (changes: object): boolean =>
        options.succeeded({
          ...(last as object),
          said: said.map((path) => ({ ...path, ...changes })),
        } as never);
      t.ok(agreed({}), 'lost, and found so since');
      t.notOk(agreed({ probedAt: 1 }), 'a word on something older');
      t.notOk(agreed({ reachable: true }));
      return { converged: true, last };
    },
  };
  const observed = await nodeHealth.observe(context as never, { convergence: 30_000 });
  t.equal(asked.budgetMs, 70_000);
  t.match(asked.started, [{ node: 'w2' }], 'the workload of the fixtures stands for its own node');
  t.match(observed, { node: 'e1', nodes: 2, called: [{ node: 'w1' }, { node: 'w2' }] });
  t.equal(observed.said.length, 2, 'what other nodes say is not what the caller meets');
  t.equal(outcomeOf(judge(nodeHealth, observed)), 'failed: request-lost');
});
