import t from 'tap';
import { partsOf } from '../../lib/cli/compose.ts';
import { withoutWhatKernelLacks } from '../../lib/cli/survey.ts';
import type { RunSpec } from '../../lib/model/spec.ts';
import { planRun } from '../../lib/run/execute.ts';
import { specOf } from '../run/support.ts';

t.test('what the kernel cannot is left out before anything is made, and its cases say why', async (t) => {
  const asked = specOf({
    profile: 'cilium',
    provider: 'kind',
    underlay: 'wireguard',
    ciliumEncryption: 'wireguard',
    level: 'all',
    checks: ['encryption.pods'],
    verbosity: 'quiet',
  });
  const lookedFor: string[] = [];
  const lacks = (yes: boolean) => (link: string) => {
    lookedFor.push(link);
    return Promise.resolve(yes);
  };
  t.equal(await withoutWhatKernelLacks(asked, lacks(false)), asked, 'a kernel that can changes nothing');
  const without = await withoutWhatKernelLacks(asked, lacks(true));
  t.same(lookedFor, ['wireguard', 'wireguard']);
  t.match(without, { ciliumEncryption: 'none', lacking: { 'l3.encrypted': /no WireGuard/ } });
  const skips = (spec: RunSpec) => planRun(spec, partsOf(spec)).cases.map(({ skip }) => skip);
  const reason = /^needs l3\.encrypted: the kernel of this machine has no WireGuard/;
  t.match(skips(without), [reason, reason]);
  t.same(skips(asked), [undefined, undefined]);

  for (const changes of [{ ciliumEncryption: 'none' }, { profile: 'istio' }] as const) {
    const other = { ...asked, ...changes };
    t.equal(await withoutWhatKernelLacks(other, lacks(true)), other);
  }
  t.equal(lookedFor.length, 2, 'where nothing needs it nobody looks');
});
