/** `npm run page`: writes suites/README.md. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { format } from 'prettier';
import { SUITES } from '../suites/index.ts';
import { renderChecksPage } from '../suites/page.ts';

export const PAGE = path.join(path.dirname(import.meta.dirname), 'suites/README.md');

export const checksPage = (): Promise<string> =>
  format(renderChecksPage(SUITES), { parser: 'markdown', printWidth: 110 });

if (process.argv[1] === import.meta.filename) writeFileSync(PAGE, await checksPage());
