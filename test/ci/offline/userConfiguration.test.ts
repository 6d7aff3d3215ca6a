import { test } from 'tap';
import { parse } from 'yaml';
import { UserError } from '../../../ci/offline/problems.ts';
import { withBuilt, withoutBuilt } from '../../../ci/offline/userConfiguration.ts';

const built = {
  images: { node: 'mcnet-conformance/node:v1.34.4', probe: 'mcnet-conformance/probe:0.1.0' },
  tools: { kind: '/cache/bin/kind' },
  charts: { cilium: '/cache/charts/cilium' },
};

test('a file that is not there yet says what it is', async (t) => {
  const text = withBuilt('', built, 'mcnet.yaml');
  t.match(text, /^# Configuration of mcnet-conformance/);
  t.same(parse(text), built);
});

test('what the user wrote stays: other keys, other entries, comments, order', async (t) => {
  const written = `# mine
profile: istio # the one we use

images:
  # from our own mirror
  istioPilot: mirror.example/pilot:1.31
  node: old/node:v1
out: here
`;
  const text = withBuilt(written, built, 'mcnet.yaml');
  t.equal(
    text,
    `# mine
profile: istio # the one we use

images:
  # from our own mirror
  istioPilot: mirror.example/pilot:1.31
  node: mcnet-conformance/node:v1.34.4
  probe: mcnet-conformance/probe:0.1.0
out: here
tools:
  kind: /cache/bin/kind
charts:
  cilium: /cache/charts/cilium
`,
  );
  t.equal(withBuilt(text, built, 'mcnet.yaml'), text, 'a second time changes nothing');
});

test('nothing built adds no key', async (t) => {
  t.equal(withBuilt('out: here\n', { images: {}, tools: {}, charts: {} }, 'mcnet.yaml'), 'out: here\n');
});

test('a file that cannot be read is not overwritten', async (t) => {
  t.throws(() => withBuilt('images: [', built, 'mcnet.yaml'), UserError);
  t.throws(() => withBuilt('- a list\n', built, 'mcnet.yaml'), { message: /mcnet.yaml holds no keys/ });
});

test('cleaning takes back only what still has our values', async (t) => {
  const mine = withBuilt('out: here\n', built, 'mcnet.yaml');
  t.equal(withoutBuilt(mine, built), 'out: here\n');
  t.equal(
    withoutBuilt(mine.replace('mcnet-conformance/probe:0.1.0', 'my/probe:1'), built),
    'out: here\nimages:\n  probe: my/probe:1\n',
  );
  t.equal(withoutBuilt(withBuilt('', built, 'mcnet.yaml'), built), '', 'a file of ours alone is left empty');
});
