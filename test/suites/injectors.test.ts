/** Every fault that a check names can be injected on the lab, on kind clusters or in a mesh, or the check says why it names none. */
import t from 'tap';
import { profileNamed } from '../../lib/profile/index.ts';
import { kindInjectors } from '../../lib/provider/kind/faults/index.ts';
import { labInjectors } from '../../lib/provider/lab/faults.ts';
import { createWireguard } from '../../lib/underlay/wireguard/index.ts';
import { SUITES } from '../../suites/index.ts';

const parts = [
  createWireguard().injectors,
  labInjectors,
  kindInjectors,
  ...['istio', 'cilium', 'consul'].map((name) => profileNamed(name).injectors),
];
const injectable = new Set(parts.flat().flatMap(({ kinds }) => kinds));

for (const { id, checks } of SUITES) {
  t.test(id, async (t) => {
    for (const { id: check, faults = [], withoutFaults } of checks) {
      t.not(faults.length === 0, withoutFaults === undefined, `${check} names a fault, or else a reason`);
      for (const { kind, cause } of faults) t.ok(injectable.has(kind), `${check}: ${kind} makes ${cause}`);
    }
  });
}

t.test('no kind of fault has two injectors in one part', async (t) => {
  for (const part of parts) {
    const kinds = part.flatMap((injector) => injector.kinds);
    t.equal(new Set(kinds).size, kinds.length);
  }
});
