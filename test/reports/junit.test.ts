import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { validateXML } from 'xmllint-wasm';
import type { RunResults } from '../../lib/model/results.ts';
import { junitReporter } from '../../reports/junit.ts';
import { healthy, hostile, interrupted, ninetyPairs, resultsOf, setUpDied, troubled } from './support.ts';

const xsd = readFileSync(path.resolve(import.meta.dirname, '../../reports/junit.xsd'), 'utf8');

async function errorsOf(xml: string): Promise<readonly string[]> {
  const { errors } = await validateXML({ xml: [{ fileName: 'junit.xml', contents: xml }], schema: [xsd] });
  return errors.map(({ message }) => message);
}

const render = (...results: RunResults[]): string => junitReporter.render(results);

/** The element of a case, as text; empty when there is none. */
const caseOf = (xml: string, id: string): string =>
  xml.split(/(?=<testcase )|(?<=<\/testcase>)/).find((part) => part.startsWith(`<testcase name="${id}"`)) ??
  '';

t.test('every kind of run gives a valid file', async (t) => {
  const samples = { healthy, troubled, ninetyPairs, setUpDied, interrupted, hostile };
  for (const [name, sample] of Object.entries(samples)) t.same(await errorsOf(render(sample())), [], name);
  t.same(await errorsOf(render(healthy(), troubled())), [], 'several subjects');
  t.same(await errorsOf(render()), [], 'no subject');
  t.same(await errorsOf(render(resultsOf(undefined, { cases: [] }))), [], 'no case');
});

t.test('the validation can fail', async (t) => {
  t.not((await errorsOf(render(healthy()).replace(' classname=', ' klass='))).length, 0);
});

t.test('hostile text is cleaned and bounded', async (t) => {
  const xml = render(hostile(100_000));
  t.same(await errorsOf(xml), []);
  t.notMatch(xml, /\u001B|\0|\uFFFE|\u202E/);
  t.ok(xml.isWellFormed());
  t.match(xml, /cut, 100,\d{3} characters in all/);
  const tenTimes = render(hostile(1_000_000));
  t.ok(tenTimes.length - xml.length < 1_000, 'its size does not follow that of the text');
  t.match(xml, /a pair 😀/);
  t.match(caseOf(xml, 'mtu.path[east->west]'), /two ends \]\] > of \]\] > CDATA/);
});

t.test('names follow the contract and hold no run id', async (t) => {
  const xml = render(troubled());
  t.match(xml, /<testsuite name="mtu" /);
  t.match(caseOf(xml, 'mtu.path[east->west]'), /classname="mcnet\.none\.mtu"/);
  const names = [...xml.matchAll(/ (?:name|classname|id|package)="([^"]*)"/g)].map(([, name]) => name);
  t.notOk(names.some((name) => name?.includes('k3x9ab')));
});

t.test('each status has its element, with the reason in it', async (t) => {
  const xml = render(troubled());
  const failure = caseOf(xml, 'mtu.path[east->west]');
  t.match(failure, /<failure message="Black hole above 1400 bytes" type="mtu-black-hole">/);
  const labels = [
    'expected: ',
    'seen: ',
    'cause: ',
    'reproduce: ip netns exec',
    'see: suites/README.md#mtupath',
  ];
  const places = labels.map((label) => failure.indexOf(label, failure.indexOf('<failure')));
  t.notOk(places.includes(-1));
  t.same(
    places.toSorted((a, b) => a - b),
    places,
    'in the order in which they are needed',
  );
  t.match(caseOf(xml, 'performance.throughput[east->west]'), /<error message="[^"]+" type="cpu-saturated">/);
  t.match(caseOf(xml, 'encryption.wire[east->west]'), /<skipped message="needs wan.capture[^"]*"\/>/);
  t.notMatch(caseOf(xml, 'reachability.tcp[east->west]'), /<(failure|error|skipped)/);
  t.match(
    xml,
    /<testsuites name="underlay: not conformant[^"]*" tests="22" failures="2" errors="3" skipped="2">/,
  );
});

t.test('figures are properties, times are summed', async (t) => {
  const results = healthy();
  const xml = render(results);
  t.match(caseOf(xml, 'dns.latency[east]'), /<property name="figure.p95" value="0\.\d+ ms"\/>/);
  const sum = results.cases
    .filter(({ suite }) => suite === 'performance')
    .reduce((total, { durationMs }) => total + durationMs, 0);
  t.match(xml, `<testsuite name="performance" time="${(sum / 1_000).toFixed(3)}"`);
});

t.test('a time that is no number, negative or tiny stays a decimal', async (t) => {
  const durations = [Number.NaN, -1, 1e-7, 1e12];
  const { cases, ...rest } = healthy();
  const odd = cases.map((result, index) => ({ ...result, durationMs: durations[index % 4] as number }));
  t.same(await errorsOf(render({ ...rest, cases: odd })), []);
});

t.test('a run that died, or executed nothing, is an error of its own', async (t) => {
  t.match(caseOf(render(setUpDied()), 'run.set-up[fleet]'), /<error message="[^"]*No space left/);
  const nothing = resultsOf(() => ({ status: 'skipped', reason: 'not for this system' }));
  t.match(caseOf(render(nothing), 'run.executed[fleet]'), /<error message="all 22 cases were skipped"/);
  t.equal(caseOf(render(healthy()), 'run.executed[fleet]'), '');
});

t.test('several subjects stay apart', async (t) => {
  const other = resultsOf(undefined, { subject: { ...healthy().subject, underlay: 'direct' } });
  const xml = render(healthy(), other);
  const suites = [...xml.matchAll(/<testsuite name="mtu".*? id="([^"]*)" package="([^"]*)"/g)];
  t.equal(suites.length, 2);
  t.not(suites[0]?.[1], suites[1]?.[1]);
  t.match(suites[0]?.[2], /wireguard/);
  t.match(suites[1]?.[2], /direct/);
});
