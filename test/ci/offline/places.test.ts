import { test } from 'tap';
import { placesOf } from '../../../ci/offline/places.ts';

test('places follow the XDG base directories', async (t) => {
  const places = placesOf({ XDG_CACHE_HOME: '/c', XDG_CONFIG_HOME: '/g' }, '/home/u');
  t.equal(places.bin, '/c/mcnet-conformance/offline/bin');
  t.equal(places.userConfiguration, '/g/mcnet-conformance/mcnet.yaml');
});

test('without them, or with relative ones, they are under the home folder', async (t) => {
  for (const environment of [{}, { XDG_CACHE_HOME: 'c', XDG_CONFIG_HOME: '' }]) {
    const places = placesOf(environment, '/home/u');
    t.equal(places.cache, '/home/u/.cache/mcnet-conformance/offline');
    t.equal(places.userConfiguration, '/home/u/.config/mcnet-conformance/mcnet.yaml');
  }
});
