import t from 'tap';
import { environmentName, longFlag } from '../../lib/config/flags.ts';
import { configure, refusal } from './fixtures/written.ts';

void t.test('names of flags and variables follow from the key', async (t) => {
  t.equal(longFlag('ipFamily'), '--ip-family');
  t.equal(environmentName('ipFamily'), 'MCNET_IP_FAMILY');
});

void t.test('flag, environment, file, default: the first that says something wins', async (t) => {
  const yaml = 'level: extended\nseed: file\nout: from-file\n';
  const environment = { MCNET_SEED: 'environment', MCNET_OUT: 'from-environment' };
  const { values, given } = configure({ yaml, environment, flags: { out: 'from-flag' } });
  t.equal(values.out, 'from-flag');
  t.equal(values.seed, 'environment');
  t.equal(values.level, 'extended');
  t.equal(values.topology, 'full-mesh', 'default');
  t.strictSame(given, { level: 'extended', seed: 'environment', out: 'from-flag' }, 'what the user set');
});

void t.test('what holds for every run of a user comes last, and tables are merged by entry', async (t) => {
  const userYaml = 'seed: mine\nimages: {node: own/node, probe: own/probe}\ntools: {kind: /opt/kind}\n';
  const { values, given, whereOf } = configure({ userYaml, yaml: 'images: {probe: team/probe}\nseed: team' });
  t.equal(values.seed, 'team');
  t.strictSame(values.images, { node: 'own/node', probe: 'team/probe' });
  t.strictSame(given['images'], { node: 'own/node', probe: 'team/probe' });
  t.strictSame(values.tools, { kind: '/opt/kind' });
  t.equal(whereOf('tools'), 'user.yaml:3:8');
  t.match(
    refusal(t, () => configure({ userYaml: 'sed: x' })),
    { where: 'user.yaml:1:1' },
  );
});

void t.test('where a value comes from', async (t) => {
  const { whereOf } = configure({
    yaml: 'hub: east\nlevel: core',
    environment: { MCNET_SEED: '1' },
    flags: { hub: 'west' },
  });
  t.equal(whereOf('hub'), '--hub');
  t.equal(whereOf('seed'), 'MCNET_SEED');
  t.equal(whereOf('level'), 'mcnet.yaml:2:8');
  t.equal(whereOf('tuning'), '--tuning', 'a default is changed by its flag');
});

void t.test('variables hold lists and switches', async (t) => {
  const { values } = configure({
    environment: {
      MCNET_SKIP: 'dns.*, mtu.path[east->west,ipv6]',
      MCNET_KEEP: 'yes',
      MCNET_BAIL: '0',
      MCNET_HUB: '',
      MCNET_RUN: 'abc123',
      PATH: '/bin',
    },
  });
  t.strictSame(
    values.skip,
    ['dns.*', 'mtu.path[east->west,ipv6]'],
    'commas inside brackets belong to the id',
  );
  t.equal(values.keep, true);
  t.equal(values.bail, false);
  t.equal(values.hub, undefined, 'empty is not set');
});

void t.test('clusters: a number, names, or objects', async (t) => {
  t.equal(configure({ flags: { clusters: '3' } }).values.clusters, 3);
  t.equal(configure({ yaml: 'clusters: 3' }).values.clusters, 3);
  t.strictSame(configure({ flags: { clusters: 'a, b' } }).values.clusters, ['a', 'b']);
  t.strictSame(
    configure({ yaml: 'clusters: [a, {name: b, segments: prod, pods: 10.9.0.0/16}]' }).values.clusters,
    [{ name: 'a' }, { name: 'b', segments: ['prod'], pods: { ipv4: '10.9.0.0/16' } }],
  );
});

void t.test('durations, pairs and reports', async (t) => {
  const { values } = configure({
    flags: { deadline: '1m30s', pairs: 'sample:4', report: ['junit', 'json=a=b.json', 'console=-'] },
  });
  t.equal(values.deadline, 90_000);
  t.strictSame(values.pairs, { kind: 'sample', count: 4 });
  t.strictSame(values.report, [
    { format: 'junit' },
    { format: 'json', path: 'a=b.json' },
    { format: 'console', path: '-' },
  ]);
});

void t.test('every error has a place and, for names, the nearest known one', async (t) => {
  const cases: [Parameters<typeof configure>[0], string, RegExp, RegExp][] = [
    [{ yaml: 'level: core\nipFamly: dual' }, 'mcnet.yaml:2:1', /"ipFamly" is not a known key/, /"ipFamily"/],
    [{ yaml: 'clusters:\n  - a\n  - name: b\n    pod: 10.0.0.0/16' }, 'mcnet.yaml:4:5', /"pod"/, /"pods"/],
    [{ yaml: 'addressing: {pol: 10.0.0.0/8}' }, 'mcnet.yaml:1:14', /"pol"/, /"pool"/],
    [{ yaml: '__proto__: {a: 1}' }, 'mcnet.yaml:1:1', /"__proto__" is not a known key/, /mean/],
    [{ yaml: 'level: cor' }, 'mcnet.yaml:1:8', /"cor" is not a known value of level/, /"core"/],
    [{ flags: { profile: 'istoi' } }, '--profile', /"istoi"/, /"istio"/],
    [{ flags: { ipFamily: 'dul' } }, '--ip-family', /"dul"/, /"dual"/],
    [{ environment: { MCNET_UNDERLAY: 'wiregard' } }, 'MCNET_UNDERLAY', /"wiregard"/, /"wireguard"/],
    [{ environment: { MCNET_LEVLE: 'core' } }, 'environment', /"MCNET_LEVLE"/, /"MCNET_LEVEL"/],
    [{ environment: { MCNET_KEEP: 'maybe' } }, 'MCNET_KEEP', /neither true nor false/, /1 or 0/],
    [{ yaml: 'keep: "yes"' }, 'mcnet.yaml:1:7', /keep must be true or false/, /"yes"/],
    [{ yaml: 'hub:' }, 'mcnet.yaml:1:5', /hub must be a text/, /empty/],
    [{ yaml: 'hub: ""' }, 'mcnet.yaml:1:6', /hub must not be empty/, /./],
    [{ yaml: 'deadline: 90' }, 'mcnet.yaml:1:11', /deadline must be/, /90/],
    [{ flags: { deadline: '90' } }, '--deadline', /"90" is no duration/, /./],
    [{ flags: { deadline: '0s' } }, '--deadline', /"0s" is no duration/, /./],
    [{ flags: { pairs: 'sample:0' } }, '--pairs', /sample:<number>/, /./],
    [{ flags: { attach: '../../x' } }, '--attach', /no run id/, /./],
    [{ flags: { clusters: '1' } }, '--clusters', /at least 2/, /./],
    [{ flags: { clusters: '101' } }, '--clusters', /at most 100/, /./],
    [{ flags: { clusters: 'East,west' } }, '--clusters', /"East" cannot be a cluster's name/, /./],
    [{ flags: { clusters: 'a,,b' } }, '--clusters', /"" cannot be a cluster's name/, /./],
    [{ yaml: 'clusters: {a: 1}' }, 'mcnet.yaml:1:11', /clusters must be a number, names/, /keys and values/],
    [{ yaml: 'clusters: [a, 2]' }, 'mcnet.yaml:1:15', /clusters\[1\] must be a name, or an object/, /2/],
    [{ yaml: 'clusters: [a, {name: b, pods: 10.0.0.1/8}]' }, 'mcnet.yaml:1:31', /host bits set/, /./],
    [
      { yaml: 'clusters: [a, {name: b, pods: [10.0.0.0/8, 11.0.0.0/8]}]' },
      'mcnet.yaml:1:31',
      /two ipv4/,
      /./,
    ],
    [{ yaml: 'addressing: {prefix: 27}' }, 'mcnet.yaml:1:22', /prefix length/, /./],
    [{ yaml: 'budgets: {a.b: {c: -1}}' }, 'mcnet.yaml:1:20', /must not be negative/, /./],
    [{ yaml: 'budgets: {a.b: {c: .inf}}' }, 'mcnet.yaml:1:20', /must be a number/, /./],
    [{ yaml: 'suite: [dns, 7]' }, 'mcnet.yaml:1:14', /suite\[1\] must be a text/, /7/],
    [{ yaml: '- a' }, 'mcnet.yaml:1:1', /must hold keys and values/, /a list/],
    [{ yaml: 'just text' }, 'mcnet.yaml:1:1', /must hold keys and values/, /./],
  ];
  for (const [written, where, what, remedy] of cases) {
    const error = refusal(t, () => configure(written));
    const name = JSON.stringify(written);
    t.equal(error.where, where, name);
    t.match(error.message, what, name);
    t.match(error.remedy, remedy, name);
  }
});

void t.test('several errors are told at once, and not without end', async (t) => {
  const both = refusal(t, () => configure({ yaml: 'level: cor\nkeep: 7\n' }));
  t.match(both.message, /2 errors.*mcnet\.yaml:1:8.*mcnet\.yaml:2:7/s);
  const many = Array.from({ length: 300 }, (_, index) => `unknown${index}: 1`).join('\n');
  const error = refusal(t, () => configure({ yaml: many }));
  t.match(error.message, /300 errors.*and 290 more/s);
  t.ok(error.message.split('\n').length < 15);
});
