import { readFileSync } from 'node:fs';
import t from 'tap';
import { toRunSpec } from '../../lib/config/spec.ts';
import { SUITES } from '../../suites/index.ts';
import { configure, known, refusal, specOf } from './fixtures/written.ts';

void t.test('without a word: two clusters of the lab, joined by WireGuard', async (t) => {
  const spec = specOf({});
  t.match(spec, {
    profile: 'none',
    provider: 'lab',
    underlay: 'wireguard',
    topology: { kind: 'full-mesh', hub: 'east', members: [{ name: 'east' }, { name: 'west' }] },
    families: ['ipv4'],
    level: 'core',
    tuning: 'as-configured',
    out: 'mcnet-report',
    verbosity: 'normal',
    budgets: {},
    configuration: {},
  });
  t.match(spec.providerReason, /context.*profile none/);
  t.strictSame(spec.pairs, { kind: 'all' }, 'large fleets are sampled unless all pairs are asked for');
  t.equal(spec.plan.clusters['west']?.pods.ipv4, '10.16.0.0/13');
  t.equal(spec.plan.clusters['west']?.pods.ipv6, undefined);
});

void t.test('runs that are compared have the same provider', async (t) => {
  const beside = (flags: Record<string, string | string[]>, comparedWith: readonly string[]) =>
    toRunSpec(configure({ flags }), { ...known, comparedWith });
  const kind = beside({ profile: 'none' }, ['istio']);
  t.match(kind, { provider: 'kind', providerReason: /^istio, with which it is compared, needs Kubernetes$/ });
  t.equal(
    beside({ profile: 'none', nodes: '2' }, ['istio']).kubernetes.nodes,
    2,
    'so this is no contradiction',
  );
  t.equal(beside({ profile: 'istio' }, ['none']).provider, 'kind');
  t.equal(beside({ profile: 'none' }, []).provider, 'lab');
  t.equal(beside({ profile: 'none', provider: 'lab' }, ['istio']).provider, 'lab', 'as asked');
  t.equal(beside({ profile: 'none', context: ['a', 'b'] }, ['istio']).provider, 'contexts');
});

void t.test('what is said is what is done', async (t) => {
  const spec = specOf({
    yaml: [
      'clusters: [a, {name: b, segments: [prod], nodes: 192.168.0.0/24}, c]',
      'topology: hub-and-spoke',
      'hub: c',
      'ipFamily: dual',
      'pairs: all',
      'budgets: {sample.check: {size: 1400, patience: 3s}}',
    ].join('\n'),
    flags: { deadline: '5m', verbose: true, keep: true, attach: 'abc123' },
  });
  t.strictSame(spec.topology, {
    kind: 'hub-and-spoke',
    hub: 'c',
    members: [{ name: 'a' }, { name: 'b', segments: ['prod'] }, { name: 'c' }],
  });
  t.strictSame(spec.families, ['ipv4', 'ipv6']);
  t.equal(spec.plan.clusters['b']?.nodes.ipv4, '192.168.0.0/24', 'as given');
  t.equal(spec.plan.clusters['b']?.nodes.ipv6, 'fd6d:636e:6574:102::/64', 'from the plan');
  t.strictSame(spec.pairs, { kind: 'all', explicit: true });
  t.strictSame(spec.budgets, { 'sample.check.size': 1400, 'sample.check.patience': 3_000 });
  t.equal(spec.deadlineMs, 300_000);
  t.equal(spec.verbosity, 'verbose');
  t.equal(spec.attach, 'abc123');
});

void t.test('names that contradict each other, or that nothing has', async (t) => {
  const cases: [Parameters<typeof specOf>[0], string, RegExp, RegExp][] = [
    [{ flags: { clusters: 'a,b,a' } }, '--clusters', /"a" is given twice/, /./],
    [{ yaml: 'clusters: [a, a]' }, 'mcnet.yaml:1:15', /"a" is given twice/, /./],
    [{ flags: { clusters: 'only' } }, '--clusters', /2 clusters/, /./],
    [{ flags: { hub: 'eats' } }, '--hub', /none of the clusters/, /"east"/],
    [{ yaml: 'budgets:\n  sample.chek: {size: 1}' }, 'mcnet.yaml:2:3', /known check/, /"sample\.check"/],
    [{ yaml: 'budgets:\n  sample.check:\n    sise: 1' }, 'mcnet.yaml:3:5', /known budget/, /"size"/],
    [{ yaml: 'budgets: {sample.check: {constructor: 1}}' }, 'mcnet.yaml:1:26', /known budget/, /mean/],
    [{ yaml: 'budgets: {sample.check: {size: 3s}}' }, 'mcnet.yaml:1:32', /is no time/, /bytes/],
    [{ flags: { report: ['jnit'] } }, '--report', /"jnit"/, /"junit"/],
    [{ flags: { report: ['json='] } }, '--report', /no path/, /json=-/],
    [{ flags: { quiet: true, verbose: true } }, '--quiet', /verbose and quiet/, /one of/],
    [{ yaml: 'addressing: {pool: fd00::/8}' }, 'mcnet.yaml:1:20', /no IPv4 range/, /pool/],
    [
      { yaml: 'addressing: {pool: 10.0.0.0/15}' },
      'addressing.pool, addressing.prefix',
      /too few/,
      /larger pool/,
    ],
  ];
  for (const [written, where, what, remedy] of cases) {
    const error = refusal(t, () => specOf(written));
    const name = JSON.stringify(written);
    t.equal(error.where, where, name);
    t.match(error.message, what, name);
    t.match(error.remedy, remedy, name);
  }
});

void t.test('names of the stable surface that this version lacks are refused with what it has', async (t) => {
  const cases: [Parameters<typeof specOf>[0], string, RegExp, RegExp][] = [
    [{ flags: { underlay: 'existing' } }, '--underlay', /have no underlay/, /wireguard or direct/],
    [
      { flags: { underlay: 'existing', provider: 'lab' } },
      '--underlay',
      /have no underlay/,
      /wireguard or direct/,
    ],
    [{ yaml: 'extensions: [./mine.ts]' }, 'mcnet.yaml:1:13', /extensions/, /Leave/],
  ];
  for (const [written, where, what, remedy] of cases) {
    const error = refusal(t, () => specOf(written));
    const name = JSON.stringify(written);
    t.equal(error.where, where, name);
    t.match(error.message, what, name);
    t.match(error.remedy, remedy, name);
  }
});

void t.test('existing clusters', async (t) => {
  const spec = specOf({ flags: { context: ['one', 'two', 'three'], kubeconfig: '/k' } });
  t.match(spec, {
    provider: 'contexts',
    providerReason: /contexts are given/,
    underlay: 'existing',
    kubernetes: {
      contexts: { east: 'one', west: 'two', north: 'three' },
      kubeconfig: '/k',
      addressesPlanned: false,
      ranges: { east: {} },
    },
  });
  const written = specOf({
    yaml: 'clusters: [{name: paris, context: a, pods: 10.1.0.0/16}, {name: rome, context: b}]\naddressing: {pool: 10.0.0.0/8}',
  });
  t.match(written, {
    provider: 'contexts',
    kubernetes: {
      contexts: { paris: 'a', rome: 'b' },
      ranges: { paris: { pods: { ipv4: '10.1.0.0/16' } }, rome: {} },
      addressesPlanned: true,
    },
  });
  t.strictSame(specOf({ flags: { context: ['a', 'b'], clusters: 'paris,rome' } }).kubernetes.contexts, {
    paris: 'a',
    rome: 'b',
  });
  const cases: [Parameters<typeof specOf>[0], string, RegExp, RegExp][] = [
    [{ flags: { context: ['a'] } }, '--context', /At least 2/, /another/],
    [{ flags: { provider: 'contexts' } }, '--provider', /"east" has no context/, /Repeat --context/],
    [{ flags: { context: ['a', 'b'], clusters: '3' } }, '--context', /"north" has no context/, /Repeat/],
    [{ flags: { context: ['a', 'b', 'c'], clusters: '2' } }, '--context', /3 contexts for 2/, /as many/],
    [
      { flags: { context: ['a', 'b'], underlay: 'wireguard' } },
      '--underlay',
      /not joined by wireguard/,
      /existing/,
    ],
    [{ flags: { kubeconfig: '/k' } }, '--kubeconfig', /no kubeconfig/, /--context/],
  ];
  for (const [given, where, what, remedy] of cases) {
    const error = refusal(t, () => specOf(given));
    const name = JSON.stringify(given);
    t.equal(error.where, where, name);
    t.match(error.message, what, name);
    t.match(error.remedy, remedy, name);
  }
});

void t.test('overlapping ranges are no matter of the configuration: a suite judges them', async (t) => {
  const spec = specOf({ yaml: 'clusters: [a, {name: b, pods: 10.0.0.0/13}]' });
  t.equal(spec.plan.clusters['b']?.pods.ipv4, spec.plan.clusters['a']?.pods.ipv4);
});

void t.test('the sample file is valid', async (t) => {
  const yaml = readFileSync(new URL('../../fixtures/mcnet.yaml', import.meta.url));
  const spec = toRunSpec(configure({ yaml }), { ...known, suites: SUITES });
  t.equal(spec.topology.members.length, 3);
  t.equal(spec.budgets['mtu.path.minimum'], 1400);
});

void t.test('what concerns Kubernetes only', async (t) => {
  const { kubernetes, images, istioTopology } = specOf({
    yaml: [
      'provider: kind',
      'nodes: 2',
      'nodeSelector: {role: edge}',
      'toleration: [dedicated=edge:NoSchedule, spare]',
      'images: {node: file/node, gateway: file/gateway}',
    ].join('\n'),
    flags: { nodeImage: 'flag/node', namespace: 'team-a', imagePullSecret: ['registry'] },
  });
  t.match(kubernetes, { cni: 'default', nodes: 2, namespace: 'team-a', allowFaults: false });
  t.strictSame(kubernetes.nodeSelector, { role: 'edge' });
  t.strictSame(kubernetes.tolerations, [
    { key: 'dedicated', value: 'edge', effect: 'NoSchedule' },
    { key: 'spare' },
  ]);
  t.strictSame(kubernetes.imagePullSecrets, ['registry']);
  t.strictSame(images, { node: 'flag/node', gateway: 'file/gateway' }, 'the flag wins over the table');
  t.equal(istioTopology, 'multi-primary');
  t.strictSame(specOf({ flags: { nodeSelector: ['a=1', 'b='] } }).kubernetes.nodeSelector, { a: '1', b: '' });
  for (const [flags, what] of [
    [{ nodes: '0' }, /at least 1/],
    [{ toleration: ['a=b:Sometimes'] }, /no toleration/],
    [{ namespace: 'Team' }, /cannot be a namespace/],
    [{ nodeSelector: ['role'] }, /key=value/],
    [{ cni: 'cillium' }, /cillium/],
  ] as const) {
    t.match(refusal(t, () => specOf({ flags })).message, what);
  }
});

void t.test('what only clusters made by kind have', async (t) => {
  const spec = specOf({ flags: { provider: 'kind', nodes: '2', cni: 'default', nodeImage: 'mine/node:1' } });
  t.match(spec, {
    provider: 'kind',
    kubernetes: { nodes: 2, cni: 'default' },
    images: { node: 'mine/node:1' },
  });
  const error = refusal(t, () => specOf({ flags: { nodes: '2' } }));
  t.match(error.message, /The provider lab creates no Kubernetes clusters/);
  t.equal(error.where, '--nodes');
  t.match(error.remedy, /--provider kind/);
});

void t.test('a lab has no place for a technology of Kubernetes', async (t) => {
  const error = refusal(t, () => specOf({ flags: { provider: 'lab', profile: 'istio' } }));
  t.match(error.message, /The profile istio needs Kubernetes/);
  t.equal(error.where, '--provider');
  t.match(error.remedy, /--provider kind/);
});

void t.test('what is said to another profile is refused, but a file may serve many runs', async (t) => {
  const error = refusal(t, () => specOf({ flags: { profile: 'istio', ciliumRouting: 'vxlan' } }));
  t.match(error.message, /The profile istio takes no notice of it/);
  t.equal(error.where, '--cilium-routing');
  t.match(error.remedy, /--profile cilium/);
  t.match(refusal(t, () => specOf({ flags: { istioTopology: 'multi-network' } })).message, /profile none/);
  t.equal(specOf({ flags: { profile: 'cilium', ciliumRouting: 'vxlan' } }).ciliumRouting, 'vxlan');
  t.equal(specOf({ flags: { profile: 'istio' }, yaml: 'ciliumRouting: vxlan' }).profile, 'istio');
});

void t.test('images are named as the one table names them', async (t) => {
  const spec = specOf({ yaml: 'images: {gateway: "own/gateway:2"}' });
  t.strictSame(spec.images, { gateway: 'own/gateway:2' });
  const error = refusal(t, () => specOf({ yaml: 'images: {gatway: x}' }));
  t.match(error.message, /"gatway" is not a known image/);
  t.match(error.where, /^mcnet\.yaml:1:/);
  t.match(error.remedy, /gateway/);
});
