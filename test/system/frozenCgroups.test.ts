import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { thawGroups } from '../../lib/system/frozenCgroups.ts';

t.test('groups of a container are thawed, whatever is inside it, and nobody else’s', async (t) => {
  const root = t.testdir({});
  const state = async (group: string, text?: string): Promise<string> => {
    const file = path.join(root, group, 'freezer.state');
    if (text !== undefined) {
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, text);
    }
    return readFile(file, 'utf8');
  };
  await state('docker/abc', 'THAWED\n');
  await state('docker/abc/kubelet.slice/pod1', 'FROZEN\n');
  await state('system.slice/docker-abc.scope/pod2', 'FREEZING\n');
  await state('docker/def/kubelet.slice/pod3', 'FROZEN\n');
  await thawGroups('abc', root);
  t.equal(await state('docker/abc'), 'THAWED\n', 'what is not frozen is left as it is');
  t.equal(await state('docker/abc/kubelet.slice/pod1'), 'THAWED');
  t.equal(await state('system.slice/docker-abc.scope/pod2'), 'THAWED');
  t.equal(await state('docker/def/kubelet.slice/pod3'), 'FROZEN\n');
});

t.test('a machine without this hierarchy has nothing to thaw', async (t) => {
  await t.resolves(thawGroups('abc', path.join(t.testdir({}), 'none')));
});
