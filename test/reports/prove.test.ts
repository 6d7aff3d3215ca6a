import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { validateXML } from 'xmllint-wasm';
import type { Proof, ProofOutcome, ProveResults } from '../../lib/model/prove.ts';
import { failed, passed } from '../../lib/model/verdict.ts';
import {
  proveHeadline,
  rateText,
  renderProveConsole,
  renderProveJson,
  renderProveMarkdown,
} from '../../reports/prove.ts';
import { renderProveJunit } from '../../reports/proveJunit.ts';
import { healthy, setUpDied } from './support.ts';

const xsd = readFileSync(path.resolve(import.meta.dirname, '../../reports/junit.xsd'), 'utf8');
const NASTY = 'two ]]> ends | of a \u001B[31mcell\u001B[0m <b>\n&amp;';

const proofOf = (check: string, outcome: ProofOutcome, changes: Partial<Proof> = {}): Proof => ({
  case: `${check}[east->west]`,
  check,
  kind: 'wan-drop',
  cause: 'request-lost',
  faults: [{ kind: 'wan-drop', from: 'east', to: 'west' }],
  gross: true,
  outcome,
  reason: NASTY,
  durationMs: 1_234,
  ...changes,
});

const NO_RATE = { seen: 0, tries: 0, upperBound: 1 };
const resultsOf = (changes: Partial<ProveResults> = {}): ProveResults => ({
  run: healthy(),
  verdict: passed('fine'),
  proofs: [
    proofOf('net.tcp', 'caught'),
    proofOf('net.tcp', 'caught otherwise', { cause: 'reply-lost' }),
    proofOf('net.udp', 'missed'),
    proofOf('dns.shared', 'not applicable', { kind: 'dns-stopped', reason: 'nothing injects it' }),
    proofOf('dns.local', 'not proved', { kind: 'dns-stopped' }),
    proofOf('net.size', 'caught', { kind: 'mtu-lowered', size: '100 bytes' }),
    proofOf('net.size', 'missed', { kind: 'mtu-lowered', size: '1 byte', gross: false }),
  ],
  falseAlarms: [
    {
      case: 'net.tcp[east->west]',
      verdict: failed('reply-lost', NASTY, { expected: 'an answer', seen: 'none' }),
    },
  ],
  inconclusive: [],
  falseAlarmRates: { 'net.tcp': { seen: 1, tries: 20, upperBound: 0.216 }, 'net.udp': NO_RATE },
  falseAlarmRate: { seen: 1, tries: 20, upperBound: 0.216 },
  missRate: { seen: 1, tries: 4, upperBound: 0.75 },
  limits: [
    { check: 'net.size', kind: 'mtu-lowered', cause: 'mtu-masked', caught: '100 bytes', missed: '1 byte' },
  ],
  blastRadii: [{ fault: 'wan-drop east->west', noticedBy: [{ case: 'dns.shared[east]', status: 'failed' }] }],
  withoutFaults: [{ check: 'net.bare', reason: 'it breaks things itself' }],
  leftovers: [],
  ...changes,
});
const PAGE = { colour: false, width: 100 };

t.test('the headline counts gross faults only', async (t) => {
  t.equal(
    proveHeadline(resultsOf()),
    '6 faults: 2 caught, 1 caught otherwise, 1 missed, 1 not applicable, 1 not proved; 1 false alarm (1 of 20, below 22 % at 95 %)',
  );
  t.match(proveHeadline(resultsOf({ run: setUpDied() })), /^the set-up died: ./);
  t.equal(rateText({ seen: 0, tries: 300, upperBound: 0.00993 }), '0 of 300, below 0.99 % at 95 %');
});

t.test('the console shows checks by faults', async (t) => {
  const text = renderProveConsole(resultsOf(), PAGE);
  t.match(text, /^A wan-drop +B dns-stopped +C mtu-lowered$/m);
  t.match(text, /^net\.tcp +√~$/m);
  t.match(text, /^net\.udp +×$/m);
  t.match(text, /^dns\.shared +–$/m);
  t.match(text, /^dns\.local +\?$/m);
  t.match(text, /net\.size: mtu-lowered \(mtu-masked\) caught at 100 bytes, missed at 1 byte/);
  t.match(text, /net\.bare: it breaks things itself/);
  t.match(text, /dns\.shared\[east\] \(failed\)/);
  t.notMatch(text, /\u001B/, 'without colour no escapes, also none of the systems under test');
  t.ok(text.split('\n').every((line) => line.length <= 180));
  t.match(renderProveConsole(resultsOf(), { ...PAGE, colour: true }), /\u001B\[31m×/);
});

t.test('limits are told only when there were sizes', async (t) => {
  const { proofs } = resultsOf();
  const gross = resultsOf({ proofs: proofs.filter((proof) => proof.gross) });
  t.notMatch(renderProveConsole(gross, PAGE), /Detection limits/);
});

t.test('JSON and Markdown say the same', async (t) => {
  const report = JSON.parse(renderProveJson(resultsOf())) as { headline: string; proofs: unknown[] };
  t.equal(report.headline, proveHeadline(resultsOf()));
  t.equal(report.proofs.length, 7);
  const markdown = renderProveMarkdown(resultsOf());
  t.match(markdown, report.headline);
  const rows = markdown.split('\n').filter((line) => line.startsWith('|'));
  t.equal(rows.length, 2 + 6);
  t.ok(rows.every((row) => row.replaceAll(/\\./g, '').split('|').length === 7));
});

t.test('JUnit is valid, a miss and a false alarm are failures', async (t) => {
  for (const results of [resultsOf(), resultsOf({ run: setUpDied(), proofs: [], falseAlarmRates: {} })]) {
    const xml = renderProveJunit(results);
    const { errors } = await validateXML({ xml: [{ fileName: 'junit.xml', contents: xml }], schema: [xsd] });
    t.same(errors, []);
  }
  const xml = renderProveJunit(resultsOf());
  t.equal([...xml.matchAll(/<failure /g)].length, 2);
  t.equal([...xml.matchAll(/<error /g)].length, 1);
  t.equal([...xml.matchAll(/<skipped/g)].length, 1);
  t.match(renderProveJunit(resultsOf({ run: setUpDied() })), /type="set-up-failed"/);
});
