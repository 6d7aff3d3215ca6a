import t from 'tap';
import { UNDERLAY_NAMES, underlayNamed } from '../../lib/underlay/index.ts';

t.test('underlays for the lab are found by name', async (t) => {
  for (const name of ['wireguard', 'direct'] as const) t.equal(underlayNamed(name).name, name);
  t.strictSame(underlayNamed('wireguard').features, ['tunnel.encrypted']);
  t.notOk(underlayNamed('direct').wire, 'there is no tunnel to look for on the wire');
});

t.test('`existing` joins nothing, and offers nothing of its own', async (t) => {
  t.ok(UNDERLAY_NAMES.includes('existing'));
  const existing = underlayNamed('existing');
  t.strictSame(existing.features, []);
  t.notOk(existing.wire);
  t.match(existing.requirements(['ipv4']), { wan: false });
});

t.test('requirements are known before anything exists', async (t) => {
  t.match(underlayNamed('wireguard').requirements(['ipv4']), { wan: true, pathMtu: 1420 });
  t.match(underlayNamed('direct').requirements(['ipv6']), { wan: true, pathMtu: 1500 });
});
