import t from 'tap';
import { parseAnswer } from '../../../../lib/provider/lab/controller/exchange.ts';
import {
  parseDocument,
  peerPeriodMs,
  renderDocument,
  worstCasePeerLossMs,
} from '../../../../lib/provider/lab/controller/peers.ts';
import { endpoint } from './fixtures/services.ts';

void t.test('the period grows so that the fleet as a whole polls no more', async (t) => {
  t.equal(peerPeriodMs(1), 300);
  t.equal(peerPeriodMs(9), 300);
  t.equal(peerPeriodMs(99), 33_000);
  t.equal(worstCasePeerLossMs(1), 300 + 600 + 600);
});

void t.test('what one controller renders, another understands', async (t) => {
  const shared = new Map([
    ['app/web', [endpoint('west', 'c', '10.16.0.3'), endpoint('west', 'c', 'fd00::3')]],
    ['app/empty', []],
  ]);
  t.strictSame(parseDocument(renderDocument('west', shared), 'west'), shared);
});

void t.test('rubbish from a peer gets nowhere', async (t) => {
  const parse = (value: unknown) => () => parseDocument(JSON.stringify(value), 'west');
  const entry = (workload: unknown, address: unknown) => ({
    cluster: 'west',
    services: { 'app/web': [{ workload, address }] },
  });
  t.throws(() => parseDocument('', 'west'));
  t.throws(parse(null));
  t.throws(parse({ cluster: 'north', services: {} }), /another cluster: north/);
  t.throws(parse({ cluster: 'west', services: { 'app/web': 'many' } }));
  t.throws(parse({ cluster: 'west', services: { 'a b/c\n': [] } }));
  t.throws(parse(entry('c', '10.16.0.3; flush ruleset')));
  t.throws(parse(entry('c\n1.2.3.4 evil', '10.16.0.3')));
  t.throws(parse(entry(undefined, undefined)));
  t.throws(parse({ cluster: 'west', services: { 'app/web': Array(5000).fill({}) } }), /more than 4096/);
});

void t.test('answers arrive in any number of pieces', async (t) => {
  const whole = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
  for (let length = 0; length < whole.length; length++) {
    t.equal(parseAnswer(whole.subarray(0, length)), 'incomplete');
  }
  t.strictSame(parseAnswer(whole), { status: 200, body: 'hello' });
  t.equal(parseAnswer(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')), 'invalid', 'no length');
  t.equal(parseAnswer(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n')), 'invalid');
  t.equal(parseAnswer(Buffer.alloc(9000, 'x')), 'invalid', 'a header without end');
});
