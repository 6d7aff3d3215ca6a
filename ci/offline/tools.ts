/** Tools for the user's machine, in one folder. */
import { copyFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';

export const toolFile = (places: Places, name: string): string => path.join(places.bin, name);

export function toolStep(places: Places, name: string, program: string): Step {
  const output = toolFile(places, name);
  return {
    id: `tool-${name}`,
    title: `tool ${name}`,
    lane: 'engine',
    needs: [`program-${path.basename(program)}`],
    inputs: {},
    files: [output],
    async run() {
      // Swapped in: one that runs keeps its file.
      await copyFile(program, `${output}.new`);
      await rename(`${output}.new`, output);
    },
  };
}
