import t from 'tap';
import { localBuildsOf } from '../../../lib/profile/common/images.ts';

const ENGINE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'own/proxy:1': { 'mcnet-conformance.build': 'local', 'mcnet-conformance.differs': 'without filters' },
  'own/pilot:1': { 'mcnet-conformance.build': 'local' },
  'vendor/agent:1': { maintainer: 'somebody' },
};
const inspect = async (image: string) => ENGINE[image];

t.test('a label says that an image is no build of the vendor', async (t) => {
  t.strictSame(await localBuildsOf(['own/proxy:1', 'own/pilot:1', 'vendor/agent:1'], [], inspect), [
    'own/proxy:1: without filters',
    'own/pilot:1: built locally',
  ]);
});

t.test('what the engine does not have is not taken for the vendor’s', async (t) => {
  const [sentence, ...rest] = await localBuildsOf(['mirror/agent:1', 'mirror/agent:1'], [], inspect);
  t.match(sentence, /^mirror\/agent:1: not observed: /);
  t.strictSame(rest, [], 'said once');
  t.strictSame(
    await localBuildsOf(['hashicorp/consul:1.14.11'], ['hashicorp/consul:1.14.11'], inspect),
    [],
    'unless nodes can only have it from the vendor, by whose name it goes',
  );
  t.strictSame(
    await localBuildsOf(['own/proxy:1'], ['own/proxy:1'], inspect),
    ['own/proxy:1: without filters'],
    'a label says more than a name',
  );
});
