import t from 'tap';
import type { Topology } from '../../lib/model/topology.ts';
import { profileNamed } from '../../lib/profile/index.ts';
import { assertServes } from '../../lib/run/requirements.ts';
import { topologyOf } from '../run/support.ts';

t.test('profile none adds nothing to what underlay and provider carry', async (t) => {
  const none = profileNamed('none');
  t.equal(none.conformanceClass, 'underlay');
  t.strictSame(none.features, ['l3.pod', 'l3.hops', 'l4.udp', 'icmp']);
  const spec = { name: 'client', namespace: 'mcnet', labels: { app: 'client' } };
  t.equal(none.decorate(spec, 'east', []), spec);
});

t.test('an unknown profile is an error of the user that names the known ones', async (t) => {
  t.throws(() => profileNamed('nonesuch'), { name: 'UserError', remedy: /none/ });
});

t.test(
  'a topology that a technology cannot serve is refused with the remedy, others are answered in words',
  async (t) => {
    const { kind, members, hub } = topologyOf(['east', 'west', 'north'], 'hub-and-spoke');
    const apart: Topology = {
      kind,
      hub,
      members: members.map(({ name }) => ({ name, ...(name !== hub && { segments: [name] }) })),
    };
    for (const name of ['none', 'istio', 'cilium', 'consul']) {
      const profile = profileNamed(name);
      t.type(profile.ways?.direct, 'string');
      t.type(profile.ways?.via, 'string');
      t.doesNotThrow(() => assertServes(profile, { kind, members, hub }));
    }
    t.match(profileNamed('cilium').ways?.via, /not transitive/);
    t.doesNotThrow(() => assertServes(profileNamed('cilium'), apart));
    t.throws(() => assertServes(profileNamed('istio'), apart), { name: 'UserError', remedy: /segments/ });
  },
);
