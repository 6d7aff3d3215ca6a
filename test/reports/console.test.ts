import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import type { RunResults } from '../../lib/model/results.ts';
import { skipped } from '../../lib/model/verdict.ts';
import { type ConsoleOptions, consoleReporter, createConsole, renderConsole } from '../../reports/console.ts';
import { widthOf } from '../../reports/text.ts';
import {
  PaperScreen,
  eventsOf,
  healthy,
  hostile,
  interrupted,
  ninetyPairs,
  resultsOf,
  setUpDied,
  slowlySetUp,
  troubled,
} from './support.ts';

const OPTIONS = {
  colour: false,
  width: 80,
  isTTY: false,
  verbosity: 'normal',
  githubActions: false,
} as const;

function live(results: RunResults, changes: Partial<ConsoleOptions> = {}): string {
  const stream = new PaperScreen();
  const console = createConsole({ ...OPTIONS, stream, ...changes });
  for (const event of eventsOf(results)) console.onEvent(event);
  console.onEnd([results]);
  return stream.text;
}

const samples = { healthy, troubled, ninetyPairs, setUpDied, slowlySetUp, interrupted, hostile };

t.test('the report begins with class and verdict', async (t) => {
  for (const [name, sample] of Object.entries(samples)) {
    const [first] = renderConsole([sample()], OPTIONS).split('\n');
    t.match(first, /^[√‼×] underlay: (not )?conformant · /, name);
  }
  t.match(
    consoleReporter.render([healthy(), troubled()]),
    /^√ underlay: conformant[^]*\n× underlay: not conformant/,
  );
});

t.test('off a terminal and without colour there is plain text only', async (t) => {
  for (const [name, sample] of Object.entries(samples)) t.notMatch(live(sample()), /[\u001B\r]/, name);
});

t.test('colour changes nothing but colour', async (t) => {
  for (const [name, sample] of Object.entries(samples)) {
    const coloured = live(sample(), { colour: true });
    t.match(coloured, /\u001B\[3/, name);
    t.equal(stripVTControlCharacters(coloured), live(sample()), name);
  }
});

t.test('no line but a command or an id is wider than the terminal', async (t) => {
  for (const width of [80, 120]) {
    for (const [name, sample] of Object.entries({
      healthy,
      troubled,
      ninetyPairs,
      setUpDied,
      slowlySetUp,
      interrupted,
    })) {
      const lines = live(sample(), { width }).split('\n');
      const long = lines.filter((line) => widthOf(line) >= width && !/^ {2}reproduce/.test(line));
      t.same(long, [], `${name} in ${width} columns`);
    }
  }
});

t.test('phases and checks appear in the order of the plan, whatever ends first', async (t) => {
  const results = healthy();
  const events = eventsOf(results);
  const settled = events.filter(({ type }) => type === 'verdict');
  const shuffled = [...events.filter(({ type }) => type !== 'verdict'), ...settled.toReversed()];
  const stream = new PaperScreen();
  const console = createConsole({ ...OPTIONS, stream });
  for (const event of shuffled) console.onEvent(event);
  console.onEnd([results]);
  const shown = stream.lines.flatMap((line) => /^√ (\w+\.[\w-]+) /.exec(line)?.[1] ?? []);
  t.same(shown, [...new Set(results.cases.map(({ check }) => check))]);
});

t.test('the slowest steps of a long set-up are named, all of them when asked for', async (t) => {
  const results = slowlySetUp();
  const told =
    /\nset-up took 99\.4 s; its slowest steps, some beside each other:\n +create +west: kind create cluster +43\.0 s\n +workloads +west: workload mcnet\/client +38\.0 s\n +26\.5 s no node takes it: 0\/1 nodes.*\n/;
  t.match(renderConsole([results], { ...OPTIONS, width: 120 }), told, 'of a stored record');
  t.match(live(results, { width: 120 }), told);
  t.notMatch(live(results, { verbosity: 'quiet' }), /slowest steps/);
  t.notMatch(live(healthy()), /slowest steps/, 'of a short one nothing is said');
  t.notMatch(live(results), /routes between nodes/);
  t.match(
    live(results, { verbosity: 'verbose' }),
    /\n√ create .*56\.0 s\n {4}networks {2}400 ms\n {4}east: kind create cluster {2}41\.0 s\n/,
  );
});

t.test('a check is one line with its pairs and the figures that matter', async (t) => {
  const lines = live(healthy(), { width: 120 }).split('\n');
  t.match(
    lines.find((line) => line.startsWith('√ reachability.udp')),
    /Datagrams reach.* 2 pairs +\d+ ms$/,
  );
  t.match(
    lines.find((line) => line.startsWith('√ dns.latency')),
    /p95 0\.72.*ms.* 2 clusters/,
  );
  t.match(
    lines.find((line) => line.startsWith('√ performance.throughput')),
    /throughput \d\.\d–\d\.\d Gbit\/s/,
  );
  t.match(
    lines.find((line) => line.startsWith('√ failover.crash')),
    /recovery, new 1\.9–2\.0 s/,
  );
});

t.test('a failure is shown in full', async (t) => {
  const text = live(troubled());
  const start = text.indexOf('\n× mtu.path[east->west]\n');
  t.not(start, -1);
  const labels = ['expected ', 'seen ', 'cause ', 'look at ', 'reproduce  ip netns exec', 'see '];
  const places = labels.map((label) => text.indexOf(`\n  ${label}`, start));
  t.notOk(places.includes(-1));
  t.same(
    places.toSorted((a, b) => a - b),
    places,
  );
  t.match(text, /1 case inconclusive because dns\.shared\[west->east\] failed:\s+failover\.crash/);
});

t.test('ninety pairs stay short', async (t) => {
  const text = live(ninetyPairs());
  t.ok(text.split('\n').length < 90, `${text.split('\n').length} lines`);
  t.match(text, /where +10 of 90 pairs: \*->north, c5->c9/);
  t.match(text, /– 216 × not sampled/);
  t.match(text, /46 cases inconclusive because reachability\.tcp\[east->north\]/);
});

t.test('what never began is said once', async (t) => {
  const text = live(setUpDied());
  t.match(text, /× create .*failed/);
  t.match(text, /run\.set-up\[fleet\][^]*No space left/);
  t.match(text, /\? 21 cases inconclusive\n/);
  t.notMatch(text, /^\? reachability\.tcp/m);
  t.match(text, /‼ Clean-up failed; left behind/);
});

t.test('a run in which nothing was executed says so', async (t) => {
  const text = live(resultsOf(() => skipped('not for this system')));
  t.match(text, /× run\.executed\[fleet\][^]*all 22 cases were skipped/);
});

t.test('quiet: the verdict and what did not pass', async (t) => {
  t.equal(
    live(healthy(), { verbosity: 'quiet' }),
    '√ underlay: conformant · nothing of the core was skipped\n',
  );
  const text = live(troubled(), { verbosity: 'quiet' });
  t.match(text, /^× underlay: not conformant[^]*\n× mtu\.path\[east->west\]/);
  t.notMatch(text, /set-up|√|passed/);
});

t.test('verbose: every case, its figures and its steps', async (t) => {
  const text = live(troubled(), { verbosity: 'verbose' });
  for (const { id } of troubled().cases) t.ok(text.includes(id), id);
  t.match(text, /\n {4}√ dns\.latency\[east\] .*\n {6}exchange {2}\d+ ms/);
  t.match(text, /cells 324 cells|p50 0\.31 ms/);
});

t.test('on a terminal one status line is kept up to date and erased', async (t) => {
  const stream = new PaperScreen();
  const console = createConsole({ ...OPTIONS, stream, isTTY: true });
  const events = eventsOf(healthy());
  const begun = events.findIndex(
    (event) => event.type === 'case.started' && event.case === 'mtu.path[west->east]',
  );
  const half = events.slice(0, begun + 1);
  for (const event of half) console.onEvent(event);
  console.tick(61_000);
  const status = stream.text.split('\r\u001B[K').at(-1) ?? '';
  t.match(
    status,
    /^━+─+ \d+\/22 · 61 s · mtu\.path\[west->east\]$/,
    'what runs now, and nothing that has ended',
  );
  t.ok(widthOf(status) < 80);
  t.notMatch(status, /\n/);
  console.onEnd([healthy()]);
  // What a terminal shows: nothing that was erased.
  const shown = stream.text.replaceAll(/[^\n]*\r\u001B\[K/g, '');
  t.notMatch(shown, /━|─{3}|\u001B/);
  t.match(shown, /15|22 passed/);
});

t.test('hostile text moves no cursor and gives no command to a pipeline', async (t) => {
  const text = live(hostile(), { githubActions: true, colour: false });
  t.notMatch(text, /[\u001B\r\0\u0007\u202E]/);
  const commands = text.split('\n').filter((line) => /^\s*::/.test(line));
  t.ok(commands.length > 0);
  t.notOk(commands.some((line) => !/^::(error|warning) title=/.test(line)));
  t.notMatch(commands.join('\n'), /^::error::injected/m);
});

t.test('the same results from a record show the same checks as the living run', async (t) => {
  const rows = (text: string) =>
    text.split('\n').filter((line) => /^[√×?–] [a-z0-9]+\.[a-z0-9-]+ {2}/.test(line));
  t.same(rows(renderConsole([troubled()], OPTIONS)), rows(live(troubled())));
});
