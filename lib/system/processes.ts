import { lstat, readFile, readdir, readlink } from 'node:fs/promises';

/** Name of the environment variable that marks every process of a run. */
export const RUN_MARK = 'MCNET_RUN';

/** Start time of a process in clock ticks since boot (field 22 of proc_pid_stat(5)); undefined when it is gone or a zombie. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export async function isAlive(pid: number, startTime: string): Promise<boolean> {
  return (await startTimeOf(pid)) === startTime;
}

/** @returns whether there was such a process (or group, for a negative id) */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Ids of living processes that carry the mark of this run in their environment. */
export async function markedProcesses(run: string): Promise<number[]> {
  const mark = `${RUN_MARK}=${run}`;
  const found = await Promise.all(
    (await readdir('/proc'))
      .filter((entry) => /^\d+$/.test(entry))
      .map(async (entry) => {
        const environment = await readFile(`/proc/${entry}/environ`, 'utf8').catch(() => '');
        return environment.split('\0').includes(mark) ? Number(entry) : undefined;
      }),
  );
  return found.filter((pid) => pid !== undefined && pid !== process.pid) as number[];
}

/** Arguments of a process, its program first; empty when it is gone. */
export async function argumentsOf(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

/** How many inotify instances the processes of a user hold; those that end meanwhile do not count. */
export async function inotifyInstances(uid: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const counts = await Promise.all(
    pids.map(async (pid) => {
      try {
        if ((await lstat(`/proc/${pid}`)).uid !== uid) return 0;
        const files = await readdir(`/proc/${pid}/fd`);
        const targets = await Promise.all(
          files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')),
        );
        return targets.filter((target) => target === 'anon_inode:inotify').length;
      } catch {
        return 0;
      }
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
