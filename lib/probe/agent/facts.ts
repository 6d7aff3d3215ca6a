import os from 'node:os';
import type { AgentFacts } from '../../model/probe.ts';
import type { Identity } from '../../model/workload.ts';
import { ownMtu } from './links.ts';
import { type Command, ToolMissingError, runTool } from './tools.ts';

const VERSION_COMMANDS: Record<keyof AgentFacts['tools'], Command> = {
  ping: ['ping', '-V'],
  tracepath: ['tracepath', '-V'],
  ss: ['ss', '-V'],
  iperf3: ['iperf3', '--version'],
  tcpdump: ['tcpdump', '--version'],
};
const VERSION_TIMEOUT_MS = 3_000;

export async function facts(identity: Identity, signal: AbortSignal): Promise<AgentFacts> {
  const tools = Object.entries(VERSION_COMMANDS).map(
    async ([tool, command]) => [tool, await versionOf(command, signal)] as const,
  );
  const [interfaceMtu, versions] = await Promise.all([ownMtu(signal), Promise.all(tools)]);
  return {
    identity,
    pid: process.pid,
    interfaceMtu,
    tools: Object.fromEntries(versions) as AgentFacts['tools'],
    kernel: os.release(),
  };
}

async function versionOf(command: Command, signal: AbortSignal): Promise<string | null> {
  try {
    const { stdout, stderr, killed } = await runTool(command, { timeoutMs: VERSION_TIMEOUT_MS, signal });
    if (killed) return `${command[0]}: does not end when asked for its version`;
    return `${stdout}\n${stderr}`.trim().split('\n', 1)[0] ?? '';
  } catch (error) {
    if (error instanceof ToolMissingError) return null;
    throw error;
  }
}
