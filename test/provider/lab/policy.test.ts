import t from 'tap';
import type { PolicyIntent } from '../../../lib/model/intent.ts';
import {
  type PolicyMember,
  type PolicyTable,
  enforces,
  renderLateMember,
  renderTable,
  tableName,
} from '../../../lib/provider/lab/policy.ts';

const member = (cluster: string, namespace: string, app: string, host: number): PolicyMember => ({
  cluster,
  namespace,
  labels: { app },
  addresses: {
    ipv4: `10.${cluster === 'east' ? 0 : 16}.0.${host}`,
    ipv6: `fd00:${cluster === 'east' ? 0 : 1}::${host}`,
  },
});
const members = [
  member('east', 'shop', 'db', 2),
  member('east', 'shop', 'web', 3),
  member('east', 'blog', 'web', 4),
  member('west', 'shop', 'web', 2),
];
const intent = (allow: PolicyIntent['allow'], target: PolicyIntent['target'] = {}): PolicyIntent => ({
  kind: 'policy',
  name: 'p',
  namespace: 'shop',
  target,
  direction: 'ingress',
  allow,
});
const table = (...intents: PolicyIntent[]): PolicyTable => ({
  cluster: 'east',
  namespace: 'shop',
  direction: 'ingress',
  intents,
  families: ['ipv4'],
});
const rulesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => / (?:accept|drop)$/.test(line));
const elementsOf = (text: string, set: string): string | undefined =>
  new RegExp(`set ${set} \\{[^}]*?elements = \\{ ([^}]*) \\}`).exec(text)?.[1];

t.test('default deny governs the workloads of its namespace in its own cluster only', async (t) => {
  const text = renderTable(table(intent([])), members);
  t.equal(elementsOf(text, 'governed0_ipv4'), '10.0.0.2, 10.0.0.3');
  t.equal(rulesOf(text).at(0), 'ct state established,related accept', 'answers pass first');
  t.equal(rulesOf(text).at(-1), 'ip daddr @governed0_ipv4 counter drop');
  t.notMatch(text, /allowed/);
});

t.test('an allowed peer is a set, with every port or those that are listed', async (t) => {
  const text = renderTable(
    table(
      intent([
        {
          peers: [{ namespace: 'shop', labels: { app: 'web' } }],
          ports: [
            { port: 7000, protocol: 'tcp' },
            { port: 53, protocol: 'udp' },
          ],
        },
        { peers: [{ cluster: 'west' }] },
        { ports: [{ port: 8080, protocol: 'tcp' }] },
      ]),
    ),
    members,
  );
  t.equal(elementsOf(text, 'allowed0_0_ipv4'), '10.0.0.3, 10.16.0.2', 'selectors match every cluster');
  t.equal(elementsOf(text, 'allowed0_1_ipv4'), '10.16.0.2');
  t.same(
    rulesOf(text).filter((rule) => rule.includes('@governed')),
    [
      'ip daddr @governed0_ipv4 ip saddr @allowed0_0_ipv4 tcp dport { 7000 } accept',
      'ip daddr @governed0_ipv4 ip saddr @allowed0_0_ipv4 udp dport { 53 } accept',
      'ip daddr @governed0_ipv4 ip saddr @allowed0_1_ipv4 accept',
      'ip daddr @governed0_ipv4 tcp dport { 8080 } accept',
      'ip daddr @governed0_ipv4 counter drop',
    ],
  );
});

t.test('the union of intents: every accept stands before every drop', async (t) => {
  const text = renderTable(
    table(intent([]), intent([{ peers: [{ cluster: 'local' }] }], { app: 'db' })),
    members,
  );
  t.equal(elementsOf(text, 'governed1_ipv4'), '10.0.0.2');
  t.equal(elementsOf(text, 'allowed1_0_ipv4'), '10.0.0.2, 10.0.0.3, 10.0.0.4');
  const rules = rulesOf(text);
  t.ok(
    rules.findLastIndex((rule) => rule.endsWith('accept')) < rules.findIndex((rule) => rule.endsWith('drop')),
  );
});

t.test('egress governs the source', async (t) => {
  const egress = { ...intent([]), direction: 'egress' } as const;
  const text = renderTable({ ...table(egress), direction: 'egress' }, members);
  t.equal(rulesOf(text).at(-1), 'ip saddr @governed0_ipv4 counter drop');
  t.match(text, 'table inet mcnet_policy_shop_egress');
});

t.test('a table is replaced in one transaction, and removed with its last intent', async (t) => {
  const name = `inet ${tableName(table())}`;
  t.equal(renderTable(table(), members), `add table ${name}\ndelete table ${name}\n`);
  t.ok(
    renderTable(table(intent([])), members).startsWith(
      `add table ${name}\ndelete table ${name}\ntable ${name} {`,
    ),
  );
});

t.test('a later workload is let into the sets that mean it', async (t) => {
  const one = table(intent([{ peers: [{ namespace: 'blog' }] }]));
  t.equal(
    renderLateMember(one, member('east', 'shop', 'new', 9)),
    'add element inet mcnet_policy_shop_ingress governed0_ipv4 { 10.0.0.9 }\n',
  );
  t.equal(
    renderLateMember(one, member('west', 'blog', 'new', 9)),
    'add element inet mcnet_policy_shop_ingress allowed0_0_ipv4 { 10.16.0.9 }\n',
  );
  t.equal(renderLateMember(one, member('west', 'other', 'new', 9)), '');
});

t.test('a flushed table enforces nothing, though it still exists', async (t) => {
  const one = table(intent([]));
  t.equal(
    enforces(
      'table inet x {\n\tchain forward {\n\t\tip daddr @governed0_ipv4 counter packets 0 bytes 0 drop\n\t}\n}\n',
      one,
    ),
    true,
  );
  t.equal(enforces('table inet x {\n\tchain forward {\n\t}\n}\n', one), false);
});
