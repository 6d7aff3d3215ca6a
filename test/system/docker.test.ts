import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Test, test } from 'tap';
import { executeUndo, stillExists } from '../../lib/system/undo.ts';
import { emptyFolder } from '../cli/fixtures/process.ts';

/**
 * A docker of ours, first on the PATH: containers and networks are files of its folder, and it notes what it was asked.
 * `late`: a container that the engine makes after others have been removed.
 */
function fakeDocker(t: Test, things: { containers?: string[]; network?: string; late?: string }) {
  const folder = emptyFolder(t);
  const at = (name: string): string => path.join(folder, name);
  writeFileSync(at('containers'), (things.containers ?? []).map((id) => `${id}\n`).join(''));
  if (things.late !== undefined) writeFileSync(at('late'), `${things.late}\n`);
  if (things.network !== undefined) writeFileSync(at('network'), '');
  writeFileSync(
    at('docker'),
    `#!/bin/sh
cd '${folder}'
echo "$*" >> calls
case "$1 $2" in
  "ps "*) cat containers ;;
  "rm "*)
    : > containers
    [ ! -e late ] || mv late containers ;;
  "network ls") [ ! -e network ] || echo 0123 ;;
  "network rm")
    [ ! -s containers ] || { echo 'error while removing network: has active endpoints' >&2; exit 1; }
    rm -f network ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac
`,
  );
  chmodSync(at('docker'), 0o755);
  const before = process.env['PATH'];
  process.env['PATH'] = `${folder}:${before}`;
  t.teardown(() => {
    process.env['PATH'] = before;
  });
  return {
    calls: (): string[] => readFileSync(at('calls'), 'utf8').trim().split('\n'),
    containers: (): string => readFileSync(at('containers'), 'utf8').trim(),
    hasNetwork: (): boolean => existsSync(at('network')),
  };
}

void test('containers go by their label, with their volumes', async (t) => {
  const docker = fakeDocker(t, { containers: ['abc', 'def'] });
  const undo = { kind: 'delete-containers', label: 'io.x-k8s.kind.cluster=mcnet-abc123-east' } as const;
  t.equal(await stillExists(undo), true);
  await executeUndo(undo);
  t.equal(docker.containers(), '');
  t.ok(docker.calls().includes('rm --force --volumes abc def'));
  t.ok(docker.calls().every((call) => !call.startsWith('ps') || call.endsWith(`label=${undo.label}`)));
  t.equal(await stillExists(undo), false);
  await t.resolves(executeUndo(undo), 'what is gone is no error');
});

void test('a container that the engine makes while everything is removed goes too', async (t) => {
  const docker = fakeDocker(t, { containers: ['abc'], late: 'late' });
  await executeUndo({ kind: 'delete-containers', label: 'a=b' });
  t.equal(docker.containers(), '');
  t.equal(docker.calls().filter((call) => call.startsWith('rm')).length, 2);
});

void test('a network takes along what is still attached to it', async (t) => {
  const docker = fakeDocker(t, { containers: ['abc'], network: 'mcnet-abc123.wan' });
  const undo = { kind: 'delete-docker-network', name: 'mcnet-abc123.wan' } as const;
  t.equal(await stillExists(undo), true);
  await executeUndo(undo);
  t.equal(docker.hasNetwork(), false);
  t.equal(docker.containers(), '');
  t.ok(docker.calls().includes('ps --all --quiet --no-trunc --filter network=mcnet-abc123.wan'));
  t.equal(await stillExists(undo), false);
  await t.resolves(executeUndo(undo));
});
