import { test } from 'tap';
import { IMAGES, imagesOf } from '../../lib/config/images.ts';

const KUBERNETES = {
  cni: 'default',
  nodes: 1,
  contexts: {},
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  allowFaults: false,
  ranges: {},
  addressesPlanned: true,
} as const;
const namesOf = (
  spec: Pick<Parameters<typeof imagesOf>[0], 'provider' | 'profile'>,
  cni: 'default' | 'cilium' = 'default',
) => imagesOf({ ...spec, kubernetes: { ...KUBERNETES, cni }, images: {} }).map(({ name }) => name);

test('only what a run uses', (t) => {
  t.same(namesOf({ provider: 'lab', profile: 'none' }), []);
  t.same(namesOf({ provider: 'kind', profile: 'none' }), ['node', 'probe', 'gateway']);
  t.same(namesOf({ provider: 'kind', profile: 'none' }, 'cilium'), [
    'node',
    'probe',
    'gateway',
    'ciliumAgent',
    'ciliumOperator',
  ]);
  t.same(namesOf({ provider: 'contexts', profile: 'istio' }), ['probe', 'istioPilot', 'istioProxyv2']);
  t.end();
});

test("the user's name wins, and every image says what is used otherwise", (t) => {
  const [node, probe] = imagesOf({
    provider: 'kind',
    profile: 'none',
    kubernetes: KUBERNETES,
    images: { node: 'mine:1' },
  });
  t.equal(node?.image, 'mine:1');
  t.notOk('image' in (probe ?? {}));
  for (const { name, otherwise } of IMAGES) t.ok(otherwise, name);
  t.end();
});
