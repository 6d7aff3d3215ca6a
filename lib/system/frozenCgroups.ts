/**
 * Control groups of version 1 that are frozen: processes in them end by no signal, not even SIGKILL, before somebody thaws
 * the group. https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

const HIERARCHY = '/sys/fs/cgroup/freezer';
const STATE = 'freezer.state';

/**
 * Thaws all groups of a container, those inside it too. The runtime of a node freezes a pod's group for a moment while it
 * changes it; where the node is killed in that moment, nobody is left who would thaw it, and the node cannot end. Nothing
 * happens where there is no such hierarchy, or not the right to change it.
 * @param id of the container, whole
 */
export async function thawGroups(id: string, hierarchy = HIERARCHY): Promise<void> {
  await Promise.all(groupsOf(id).map((group) => thawBelow(path.join(hierarchy, group))));
}

/** As the engine names a container's group by either of its drivers, cgroupfs and systemd. */
const groupsOf = (id: string): string[] => [`docker/${id}`, `system.slice/docker-${id}.scope`];

async function thawBelow(group: string): Promise<void> {
  const entries = await readdir(group, { recursive: true, withFileTypes: true }).catch(() => []);
  await Promise.all(
    entries
      .filter(({ name }) => name === STATE)
      .map(async ({ parentPath }) => {
        const file = path.join(parentPath, STATE);
        const state = await readFile(file, 'utf8').catch(() => '');
        if (/^FR(OZEN|EEZING)/.test(state)) await writeFile(file, 'THAWED').catch(() => undefined);
      }),
  );
}
