import t from 'tap';
import type { DrillResults, DrillSample } from '../../lib/model/drill.ts';
import { passed } from '../../lib/model/verdict.ts';
import { lettersOf, renderDrillConsole, timeLine } from '../../reports/drill.ts';
import { healthy, setUpDied } from './support.ts';

const LETTERS = lettersOf(['east', 'west']);
const good = (at: number, cluster: string): DrillSample => ({ at, latencyMs: 1, ok: true, cluster });
const bad = (at: number): DrillSample => ({ at, latencyMs: 1, ok: false, outcome: 'timed-out' });

t.test('every cluster has a letter of its own', async (t) => {
  t.same([...lettersOf(['east', 'west', 'c5', 'c6', 'c7']).values()].length, 5);
  t.equal(new Set(lettersOf(['east', 'west', 'c5', 'c6', 'c7']).values()).size, 5);
});

t.test('a slice says who answered, or that requests failed', async (t) => {
  const samples = [good(0, 'east'), good(10, 'east'), bad(11), bad(20), good(30, 'east'), good(35, 'west')];
  t.equal(timeLine({ samples, kind: 'new' }, 50, 5, LETTERS), 'E~×* ');
  t.equal(timeLine({ samples: [good(49, 'west')], kind: 'new' }, 50, 5, LETTERS), '    W');
  t.equal(timeLine({ samples: [good(50, 'west')], kind: 'new' }, 50, 5, LETTERS), '    W', 'the last edge');
  t.equal(timeLine({ samples: [{ at: 0, latencyMs: 1, ok: true }], kind: 'names' }, 50, 1, LETTERS), 'n');
});

const RESULTS: DrillResults = {
  run: healthy(),
  verdict: passed('1 of 1 clients lost requests to wan-drop east->west, and all recovered'),
  observation: {
    fault: { kind: 'wan-drop', from: 'east', to: 'west' },
    held: true,
    faultAt: 3_000,
    mendAt: 13_000,
    endedAt: 20_000,
    clients: [{ from: 'east', to: 'west', kind: 'new', samples: [good(0, 'west'), bad(4_000)] }],
  },
  summaries: [
    {
      requests: 170,
      lost: 100,
      noticedMs: 100,
      recoveredMs: 900,
      answeredBy: [['west'], [], ['west']],
    },
  ],
};

t.test('a time line for each client, with its times', async (t) => {
  const text = renderDrillConsole(RESULTS, { colour: false, width: 120 });
  t.match(text, /^√ 1 of 1 clients lost requests/);
  t.match(text, /wan-drop east->west for 10/);
  const [ruler = '', line = ''] = text.split('\n').filter((one) => /▼─+▲|^east->west new/.test(one));
  t.equal(ruler.indexOf('▼') > 'east->west new'.length, true);
  t.match(line, /^east->west new W +× .*100 ms +no +900 ms +100\/170$/);
  t.notMatch(text, /\u001B/);
});

t.test('a drill that died says why', async (t) => {
  const { observation: _, ...rest } = RESULTS;
  const text = renderDrillConsole({ ...rest, run: setUpDied(), summaries: [] }, { colour: false, width: 80 });
  t.match(text, /the set-up died: ./);
});
