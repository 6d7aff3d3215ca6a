import t from 'tap';
import { renderNft } from '../../../../lib/provider/lab/controller/nft.ts';
import { endpoint, pods, sharedWeb, stateWith, web } from './fixtures/services.ts';

const local = [endpoint('east', 'a', '10.0.0.3'), endpoint('east', 'b', '10.0.0.4')];
const remote = [endpoint('west', 'c', '10.16.0.3')];
const rulesOf = (rules: string, chain: string): string[] => {
  const start = rules.indexOf(`chain ${chain} {`);
  return rules
    .slice(start, rules.indexOf('  }', start))
    .split('\n')
    .slice(2)
    .map((line) => line.trim())
    .filter(Boolean);
};

void t.test('a service address leads to each endpoint in turn, the rest is refused', async (test) => {
  const rules = renderNft([stateWith(web, local)]);
  test.strictSame(rulesOf(rules, 'prerouting'), [
    'ip daddr 10.8.0.20 tcp dport 80 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.3, 1 : 10.0.0.4 }',
    'ip daddr 10.8.0.20 udp dport 7 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.3, 1 : 10.0.0.4 }',
  ]);
  test.strictSame(rulesOf(rules, 'unserved'), [
    'ip daddr { 10.8.0.20 } meta l4proto tcp reject with tcp reset',
    'ip daddr { 10.8.0.20 } reject with icmpx type port-unreachable',
    'ip6 daddr { fd00:8::20 } meta l4proto tcp reject with tcp reset',
    'ip6 daddr { fd00:8::20 } reject with icmpx type port-unreachable',
  ]);
  test.strictSame(rulesOf(rules, 'postrouting'), [
    'ct status dnat ip saddr . ip daddr { 10.0.0.3 . 10.0.0.3, 10.0.0.4 . 10.0.0.4 } masquerade',
  ]);
});

void t.test('the shared address turns to the other clusters when no local endpoint is left', async (test) => {
  const forwarded = (rules: string) =>
    rulesOf(rules, 'prerouting').filter((rule) => rule.includes('10.8.1.20 tcp'));
  test.strictSame(forwarded(renderNft([stateWith(sharedWeb, local, remote)])), [
    'ip daddr 10.8.1.20 tcp dport 80 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.3, 1 : 10.0.0.4 }',
  ]);
  test.strictSame(forwarded(renderNft([stateWith(sharedWeb, [], remote)])), [
    'ip daddr 10.8.1.20 tcp dport 80 dnat ip to numgen inc mod 1 map { 0 : 10.16.0.3 }',
  ]);
});

void t.test('a headless service has no address, and no services make an empty table', async (test) => {
  test.equal(renderNft([stateWith(pods, local, remote)]), renderNft([]));
  test.match(renderNft([]), /^table inet mcnet_services \{\}\ndelete table inet mcnet_services\n/);
});
