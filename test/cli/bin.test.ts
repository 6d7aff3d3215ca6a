import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { BIN, cli, emptyFolder } from './fixtures/process.ts';

const pretending = (version: string): string[] => [
  '--import',
  `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`,
];
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

void t.test('an unfit Node without a better one at hand is told in one line', async (t) => {
  const folder = emptyFolder(t);
  const bin = path.join(folder, 'lib', 'cli', 'bin.js');
  mkdirSync(path.dirname(bin), { recursive: true });
  cpSync(BIN, bin);
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
  for (const old of ['18.20.0', '20.20.2', '22.21.9', '23.11.0', '24.10.0']) {
    const { code, out, err } = await cli(folder, ['--version'], { bin, node: pretending(old) });
    t.equal(code, 2, old);
    t.equal(out, '');
    t.equal(err, `mcnet-conformance needs Node ^22.22 || >=24.11; this is ${old}\n`);
  }
  // Fit ones go on, to a program that is not there: not 1, which would say that a case failed.
  for (const fit of ['22.22.0', '24.11.0', '25.0.0']) {
    const { code, err } = await cli(folder, ['--version'], { bin, node: pretending(fit) });
    t.equal(code, 2, fit);
    t.match(err, /Cannot find module/);
  }
});

void t.test('in a checkout an unfit Node hands over, with arguments, output and exit code', async (t) => {
  const folder = emptyFolder(t);
  const { code, out } = await cli(folder, ['--version'], { bin: BIN, node: pretending('20.0.0') });
  t.equal(out, `${version}\n`);
  t.equal(code, 0);
  const wrong = await cli(folder, ['list', 'nothing'], { bin: BIN, node: pretending('20.0.0') });
  t.equal(wrong.code, 2);
  t.match(wrong.err, /no list of "nothing"/);
});
