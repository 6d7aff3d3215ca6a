import { readFileSync } from 'node:fs';
import t from 'tap';
import { PAGE, checksPage } from '../../ci/page.ts';

t.test('the page about the checks is what the suites say', async (t) => {
  t.equal(readFileSync(PAGE, 'utf8'), await checksPage(), 'run `npm run page`');
});
