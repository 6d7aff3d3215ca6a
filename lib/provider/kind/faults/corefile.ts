/**
 * Configurations of CoreDNS that answer wrongly, made from the one that is there. Pure. Where a block of its own names a
 * zone, it alone answers for that zone, whatever the block of the root says (https://coredns.io/manual/configuration/).
 */
import type { IpFamily, PerFamily } from '../../../model/cidr.ts';
import { ADDRESS_RECORD } from '../../../model/probe.ts';

const blockFor = (zone: string, lines: readonly string[]): string =>
  [`${zone}:53 {`, '    errors', ...lines.map((line) => `    ${line}`), '}', ''].join('\n');

/** No name of the zone exists. */
export const denying = (corefile: string, zone: string): string =>
  `${corefile.trimEnd()}\n${blockFor(zone, ['template ANY ANY {', '    rcode NXDOMAIN', '}'])}`;

/** Another DNS server is asked for the zone, as by a stub domain that leads to the wrong cluster. */
export const forwarding = (corefile: string, zone: string, servers: readonly string[]): string =>
  `${corefile.trimEnd()}\n${blockFor(zone, [`forward . ${servers.join(' ')}`])}`;

/** How long an answer from the API server's objects may be kept. @returns undefined where there are no such answers */
export function withTtl(corefile: string, seconds: number): string | undefined {
  const block = /^([ \t]*)kubernetes [^{}]*\{[^{}]*\}/m.exec(corefile);
  if (!block) return undefined;
  const [text, indent = ''] = block;
  const without = text.replace(/\n[ \t]*ttl \d+/, '');
  return corefile.replace(text, without.replace(/\n[ \t]*\}$/, `\n${indent}   ttl ${seconds}\n${indent}}`));
}

export interface OldRecord {
  /** Without the dot at its end. */
  readonly name: string;
  readonly addresses: PerFamily<readonly string[]>;
}

const OLD_TTL_SECONDS = 5;

/** These names have these addresses, whatever has become of them; all else is answered as before. */
export function remembering(corefile: string, records: readonly OldRecord[]): string {
  const plugins = records.flatMap(({ name, addresses }) =>
    (Object.entries(addresses) as [IpFamily, readonly string[]][]).flatMap(([family, own]) => {
      const type = ADDRESS_RECORD[family];
      return [
        `    template IN ${type} ${name} {`,
        `        match "^${name.replaceAll('.', '\\.')}\\.$"`,
        ...own.map((address) => `        answer "{{ .Name }} ${OLD_TTL_SECONDS} IN ${type} ${address}"`),
        '        fallthrough',
        '    }',
      ];
    }),
  );
  // Into the first block, before whatever else answers there.
  return corefile.replace(/^[^\n]*\{\n/m, (opening) => `${opening}${plugins.join('\n')}\n`);
}
