/** Programs of the host that the builder calls, and Debian's packages that bring them. */
import path from 'node:path';
import { $, which } from 'zx';
import { UserError } from './problems.ts';
import { LEAST_GO } from './versions.ts';

/** A file of apt's configuration. */
export const placeOfPackages = (name: string): string => path.join('/etc/apt', name);

const NEEDED: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  gcc: 'gcc libc6-dev',
};

/** @throws UserError when something is missing that cannot be installed from here */
export async function ensurePrograms(say: (line: string) => void): Promise<void> {
  await checkGo();
  const missing = [];
  for (const [program, packages] of Object.entries(NEEDED)) {
    if (!(await which(program, { nothrow: true }))) missing.push(...packages.split(' '));
  }
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) {
    throw new UserError(`Missing: ${missing.join(', ')}`, `apt-get install ${missing.join(' ')}`);
  }
  say(`Installing ${missing.join(', ')} …`);
  await installPackages(missing);
}

async function checkGo(): Promise<void> {
  const answer = await $({ nothrow: true, quiet: true })`go env GOVERSION`;
  const version = /^go(\d+)\.(\d+)/.exec(answer.stdout);
  const [major = 0, minor = 0] = version ? [Number(version[1]), Number(version[2])] : [];
  const [leastMajor = 0, leastMinor = 0] = LEAST_GO.split('.').map(Number);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return;
  throw new UserError(
    version ? `Go ${major}.${minor} is too old` : 'Go is not installed',
    `install Go ${LEAST_GO} or newer and put it on the PATH`,
  );
}

/** @throws UserError with what apt said */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const apt = $({
    nothrow: true,
    quiet: true,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  const update = await apt`apt-get update`;
  const install = await apt`apt-get install --yes --no-install-recommends ${packages}`;
  if (install.exitCode === 0) return;
  throw new UserError(
    `apt-get could not install ${packages.join(', ')}: ${(install.stderr || update.stderr).trim().split('\n').at(-1) ?? ''}`,
    `apt-get update && apt-get install ${packages.join(' ')}`,
  );
}
