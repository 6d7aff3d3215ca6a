import t from 'tap';
import { profileNamed } from '../../lib/profile/index.ts';

t.test('profile none adds nothing to what underlay and provider carry', async (t) => {
  const none = profileNamed('none');
  t.equal(none.conformanceClass, 'underlay');
  t.strictSame(none.features, ['l3.pod', 'l4.udp', 'icmp']);
  const spec = { name: 'client', namespace: 'mcnet', labels: { app: 'client' } };
  t.equal(none.decorate(spec, 'east', []), spec);
});

t.test('an unknown profile is an error of the user that names the known ones', async (t) => {
  t.throws(() => profileNamed('nonesuch'), { name: 'UserError', remedy: /none/ });
});
