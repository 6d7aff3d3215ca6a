/** Runs programs inside a network namespace. */
import { type Command, type CommandOptions, runCommand, startDetached } from '../../system/commands.ts';
import { RUN_MARK } from '../../system/processes.ts';
import { netnsPath } from './names.ts';

/** Cheaper than `ip netns exec`, which also mounts /sys anew; the program takes the place of nsenter, so its id is known. */
export function insideNetns(netns: string, command: Command): Command {
  return ['nsenter', `--net=${netnsPath(netns)}`, '--', ...command];
}

export function runInNetns(netns: string, command: Command, options?: CommandOptions): Promise<string> {
  return runCommand(insideNetns(netns, command), options);
}

/** Puts nftables input in force as one transaction. */
export async function applyNft(netns: string, input: string): Promise<void> {
  await runInNetns(netns, ['nft', '-f', '-'], { input });
}

/** Starts a program that outlives this process, marked as belonging to the run. @returns its process id */
export function startInNetns(
  netns: string,
  command: Command,
  options: { run: string; logPath: string; environment?: Readonly<Record<string, string>> },
): Promise<number> {
  return startDetached(insideNetns(netns, command), {
    logPath: options.logPath,
    environment: { ...options.environment, [RUN_MARK]: options.run },
  });
}
