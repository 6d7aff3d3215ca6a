import { planRun } from '../../run/execute.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { EXIT_USAGE } from '../failure.ts';
import { installCommand, mendingProvider, packagesOf } from '../packages.ts';
import { heading, say } from '../print.ts';
import type { RawFlags } from '../program.ts';

/** Everything that a run with these flags would lack on this machine; changes nothing, but for `--yes`. */
export async function doctor(flags: RawFlags): Promise<number> {
  const spec = await readSpec(flags);
  const parts = partsOf(spec);
  const { requirements } = planRun(spec, parts);
  const { signal } = new AbortController();
  const provider = spec.yes ? mendingProvider(parts.provider, signal) : parts.provider;
  const problems = await provider.check(requirements);
  if (problems.length === 0) {
    const versions = Object.entries(await provider.observedVersions());
    say(
      `This machine is ready: provider ${spec.provider}, underlay ${spec.underlay}, profile ${spec.profile}`,
    );
    say(`  ${[['node', process.versions.node], ...versions].map((pair) => pair.join(' ')).join(', ')}`);
    return 0;
  }
  say(heading('What is missing here'));
  for (const { what, remedy, packages } of problems) {
    say(`  - ${what}`);
    if (!packages) say(`    ${remedy}`);
  }
  const packages = packagesOf(problems);
  if (packages.length > 0) {
    say(`\n${heading('Install it (as root), or give --yes to a run')}`);
    say(`  ${installCommand(packages).join(' ')}`);
  }
  return EXIT_USAGE;
}
