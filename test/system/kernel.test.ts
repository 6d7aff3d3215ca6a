import t from 'tap';
import { runCommand } from '../../lib/system/commands.ts';
import { lacksLink } from '../../lib/system/kernel.ts';

t.test('a kernel says what it does not know, and nothing is left of the question', async (t) => {
  const links = async (): Promise<string> => {
    const shown = await runCommand(['ip', '-brief', 'link']);
    return shown
      .split('\n')
      .filter((line) => line.startsWith('mcnet0'))
      .join();
  };
  for (const kind of ['vxlan', 'geneve', 'wireguard'] as const) t.type(await lacksLink(kind), 'boolean');
  t.equal(await links(), '');
});
