import t from 'tap';
import { expectedAnswerers, notOffered, preferLocal, preferRemote, spread } from '../../suites/sharing.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const ends = { from: 'east', to: 'west' };
const CALLS = 24;

t.test('the truth table itself', async (t) => {
  const rows = (['spread', 'prefer-local', 'prefer-remote', 'not-offered'] as const).map((sharing) =>
    (['here and there', 'there only', 'here only', 'nowhere'] as const).map((placement) =>
      expectedAnswerers(sharing, placement, ends).join('+'),
    ),
  );
  t.same(rows, [
    ['east+west', 'west', 'east', ''],
    ['east', 'west', 'east', ''],
    ['west', 'west', 'east', ''],
    ['east', '', 'east', ''],
  ]);
});

const answers = (...clusters: string[]) =>
  times(CALLS / Math.max(1, clusters.length), () =>
    clusters.length === 0
      ? [exchange({ outcome: 'timed-out' })]
      : clusters.map((cluster) => answeredBy(cluster)),
  ).flat();
const row = (placement: string, ...clusters: string[]) => ({
  placement,
  exchanges: answers(...clusters),
  elapsedMs: 5,
});
const table = (both: string[], there: string[], here: string[], more: object = {}) => ({
  ...ends,
  address: '10.8.0.9',
  port: 9_050,
  rows: [
    row('here and there', ...both),
    row('there only', ...there),
    row('here only', ...here),
    row('nowhere'),
  ],
  links: [],
  ...more,
});
const E = ['east'];
const W = ['west'];

t.test('callers are led as the service is shared, or it is said who answers instead', async (t) => {
  const of = (check: Parameters<typeof judge>[0], observed: object) => outcomeOf(judge(check, observed));
  t.equal(of(spread, table([...E, ...W], W, E)), 'passed');
  t.equal(of(spread, table(E, [], E)), 'failed: local-endpoints-only');
  t.equal(of(spread, table(W, W, [])), 'failed: remote-endpoints-missing');
  t.equal(of(preferLocal, table(E, W, E)), 'passed');
  t.equal(of(preferLocal, table([...E, ...W], W, E)), 'failed: preference-ignored');
  t.equal(of(preferLocal, table(E, [], E)), 'failed: remote-endpoints-missing');
  t.equal(
    of(preferLocal, table(E, [], E, { links: [{ cause: 'remote-secret-missing', what: 'no secret' }] })),
    'failed: remote-secret-missing',
  );
  t.equal(of(preferRemote, table(W, W, E)), 'passed');
  t.equal(of(preferRemote, table(E, W, E)), 'failed: preference-ignored');
  t.equal(
    of(preferRemote, table(E, [], E)),
    'failed: local-endpoints-only',
    'who is not there is not passed over',
  );
  const { rows } = table(E, W, E);
  t.equal(
    of(preferLocal, table(E, W, E, { rows: [...rows.slice(0, 3), row('nowhere', ...W)] })),
    'failed: withdrawal-slow',
  );
  t.equal(of(notOffered, table(E, [], E)), 'passed');
  t.equal(of(notOffered, table(E, W, E)), 'failed: not-shared-but-answered');
});

t.test('what proves nothing is no pass', async (t) => {
  const of = (observed: object) => outcomeOf(judge(notOffered, observed));
  t.equal(of(table([], [], [])), 'inconclusive: control-failed');
  t.equal(of({ ...table(E, [], E), address: '' }), 'inconclusive: control-failed');
  t.equal(of({ ...table(E, [], E), rows: [row('here only', 'east')] }), 'inconclusive: probe-failed');
  const short = { ...row('here only', 'east'), exchanges: answers('east').slice(1) };
  const { rows } = table(E, [], E);
  t.equal(
    of({ ...table(E, [], E), rows: [...rows.slice(0, 2), short, ...rows.slice(3)] }),
    'inconclusive: probe-failed',
  );
  const lossy = {
    ...row('here only'),
    exchanges: [...answers('east').slice(1), exchange({ outcome: 'timed-out' })],
  };
  t.equal(
    of({ ...table(E, [], E), rows: [...rows.slice(0, 2), lossy, ...rows.slice(3)] }),
    'failed: packets-lost',
  );
});
