import t from 'tap';
import { parseAnswer } from '../../../../lib/provider/lab/controller/exchange.ts';
import {
  parseDocument,
  peerPeriodMs,
  renderDocument,
  worstCasePeerLossMs,
} from '../../../../lib/provider/lab/controller/peers.ts';
import { endpoint } from './fixtures/services.ts';

void t.test('the period grows so that the fleet as a whole polls no more', async (test) => {
  test.equal(peerPeriodMs(1), 200);
  test.equal(peerPeriodMs(7), 200);
  test.equal(peerPeriodMs(99), 33_000);
  test.equal(worstCasePeerLossMs(1), 200 + 600 + 600);
});

void t.test('what one controller renders, another understands', async (test) => {
  const shared = new Map([
    ['app/web', [endpoint('west', 'c', '10.16.0.3'), endpoint('west', 'c', 'fd00::3')]],
    ['app/empty', []],
  ]);
  test.strictSame(parseDocument(renderDocument('west', shared), 'west'), shared);
});

void t.test('rubbish from a peer gets nowhere', async (test) => {
  const parse = (value: unknown) => () => parseDocument(JSON.stringify(value), 'west');
  const entry = (workload: unknown, address: unknown) => ({
    cluster: 'west',
    services: { 'app/web': [{ workload, address }] },
  });
  test.throws(() => parseDocument('', 'west'));
  test.throws(parse(null));
  test.throws(parse({ cluster: 'north', services: {} }), /another cluster: north/);
  test.throws(parse({ cluster: 'west', services: { 'app/web': 'many' } }));
  test.throws(parse({ cluster: 'west', services: { 'a b/c\n': [] } }));
  test.throws(parse(entry('c', '10.16.0.3; flush ruleset')));
  test.throws(parse(entry('c\n1.2.3.4 evil', '10.16.0.3')));
  test.throws(parse(entry(undefined, undefined)));
  test.throws(
    parse({ cluster: 'west', services: { 'app/web': Array.from({ length: 5000 }, () => ({})) } }),
    /more than 4096/,
  );
});

void t.test('answers arrive in any number of pieces', async (test) => {
  const whole = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello');
  for (let length = 0; length < whole.length; length++) {
    test.equal(parseAnswer(whole.subarray(0, length)), 'incomplete');
  }
  test.strictSame(parseAnswer(whole), { status: 200, body: 'hello' });
  test.equal(parseAnswer(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')), 'invalid', 'no length');
  test.equal(parseAnswer(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n')), 'invalid');
  test.equal(parseAnswer(Buffer.alloc(9000, 'x')), 'invalid', 'a header without end');
});
