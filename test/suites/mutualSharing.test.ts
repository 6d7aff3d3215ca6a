import t from 'tap';
import { mutualSharing } from '../../suites/mutualSharing.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const NOBODY = 'nobody';
const CALLER = 'the caller’s cluster only';
const BOTH = 'both';
const OTHER_KEEPS = 'both, of which the other cluster keeps its backends to itself';
const CALLER_KEEPS = 'both, of which the caller’s cluster keeps its backends to itself';
const OTHER = 'the other cluster only';

const own = times(24, () => answeredBy('east'));
const spread = [...times(12, () => answeredBy('east')), ...times(12, () => answeredBy('west'))];
const rowsWith = (changes: Record<string, unknown>) =>
  [NOBODY, CALLER, BOTH, OTHER_KEEPS, CALLER_KEEPS, OTHER].map((sharers) => ({
    sharers,
    exchanges: [BOTH, CALLER_KEEPS].includes(sharers) ? spread : own,
    elapsedMs: 40,
    ...(sharers in changes && { exchanges: changes[sharers] }),
  }));
const observed = { from: 'east', to: 'west', address: '10.8.0.7', rows: rowsWith({}), links: [] };
const verdict = (changes: object) => outcomeOf(judge(mutualSharing, { ...observed, ...changes }));

t.test('sharing.mutual', async (t) => {
  t.equal(verdict({}), 'passed');
  for (const sharers of [NOBODY, CALLER, OTHER_KEEPS, OTHER]) {
    const leaked = [...own, answeredBy('west')];
    t.equal(
      verdict({ rows: rowsWith({ [sharers]: leaked }) }),
      'failed: not-shared-but-answered',
      `one answer is too many: shared by ${sharers}`,
    );
  }
  const strange = [...spread, answeredBy('north')];
  t.equal(verdict({ rows: rowsWith({ [BOTH]: strange }) }), 'failed: not-shared-but-answered');
  t.equal(
    verdict({ rows: rowsWith({ [CALLER_KEEPS]: own }) }),
    'failed: local-endpoints-only',
    'who keeps its own to itself goes on using what others offer',
  );
  const alone = rowsWith({ [BOTH]: own });
  t.equal(verdict({ rows: alone }), 'failed: local-endpoints-only');
  const links = [{ cause: 'control-plane-down', what: 'no control plane is ready in west' }];
  t.equal(verdict({ rows: alone, links }), 'failed: control-plane-down');
  t.equal(verdict({ links }), 'passed', 'a link that is broken hinders nobody here');
  const silent = times(24, () => exchange({ outcome: 'timed-out' }));
  t.equal(verdict({ rows: rowsWith({ [NOBODY]: silent }) }), 'inconclusive: control-failed');
  t.equal(verdict({ rows: rowsWith({ [CALLER]: [...own, ...silent.slice(0, 1)] }) }), 'failed: packets-lost');
  t.equal(verdict({ rows: observed.rows.slice(1) }), 'inconclusive: probe-failed');
  t.equal(verdict({ rows: rowsWith({ [OTHER]: own.slice(1) }) }), 'inconclusive: probe-failed');
  t.equal(verdict({ address: '' }), 'inconclusive: control-failed');
});
