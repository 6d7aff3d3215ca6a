/** What the kernel of this machine can do, found out in a network namespace that lives as long as the question. */
import { CommandError, runCommand } from './commands.ts';

/** Each with the words without which `ip` itself would refuse; the addresses are for documentation (RFC 5737). */
const WORDS: Readonly<Record<'vxlan' | 'geneve' | 'wireguard', readonly string[]>> = {
  vxlan: ['id', '1', 'dstport', '8472'],
  geneve: ['id', '1', 'remote', '192.0.2.1'],
  wireguard: [],
};

/** Of the kernel, by way of rtnetlink: other failures, such as missing rights, say nothing of what it knows. */
const UNKNOWN = /unknown device type|operation not supported/i;

/** Whether it certainly knows no links of this kind. A module that can be loaded is loaded by asking. */
export async function lacksLink(kind: keyof typeof WORDS): Promise<boolean> {
  try {
    await runCommand(['unshare', '--net', 'ip', 'link', 'add', 'mcnet0', 'type', kind, ...WORDS[kind]]);
    return false;
  } catch (error) {
    if (error instanceof CommandError) return UNKNOWN.test(error.output);
    throw error;
  }
}
