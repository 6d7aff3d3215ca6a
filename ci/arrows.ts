/** Checks that every room imports only the rooms it may use, so that data keeps flowing one way. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { glob } from 'zx';

/** What a room may import; the most specific path that holds a file is its room. */
const MAY_USE: Record<string, readonly string[]> = {
  'lib/model': [],
  'lib/system': [],
  'lib/config': ['lib/model'],
  'lib/provider': ['lib/model', 'lib/system'],
  'lib/underlay': ['lib/model', 'lib/system'],
  'lib/profile': ['lib/model', 'lib/system'],
  'lib/probe': ['lib/model'],
  'lib/run': [
    'lib/model',
    'lib/system',
    'lib/config',
    'lib/provider',
    'lib/underlay',
    'lib/profile',
    'lib/probe',
  ],
  'lib/cli': [
    'lib/model',
    'lib/system',
    'lib/config',
    'lib/provider',
    'lib/underlay',
    'lib/profile',
    'lib/probe',
    'lib/run',
    'suites',
    'reports',
    'fixtures',
  ],
  fixtures: ['lib/model'],
  suites: ['lib/model', 'fixtures'],
  reports: ['lib/model'],
};

/** Rooms whose files may start processes, read the clock and touch files. */
const TOUCHES_THE_WORLD = ['lib/system', 'lib/probe', 'lib/provider/lab/controller', 'lib/provider/relay'];
const WORLDLY_MODULES =
  /^node:(?:child_process|fs|fs\/promises|timers|timers\/promises|net|dgram|http|http2|tls)$/;

const rooms = Object.keys(MAY_USE).toSorted((a, b) => b.length - a.length);
const roomOf = (file: string): string | undefined => rooms.find((room) => file.startsWith(`${room}/`));

const problems: string[] = [];
for (const file of await glob(['lib/**/*.ts', 'suites/**/*.ts', 'fixtures/**/*.ts', 'reports/**/*.ts'])) {
  const room = roomOf(file);
  if (room === undefined) {
    problems.push(`${file} stands in no room`);
    continue;
  }
  const text = readFileSync(file, 'utf8');
  for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
    if (specifier === undefined) continue;
    if (specifier.startsWith('.')) {
      const target = path.posix.join(path.posix.dirname(file), specifier);
      // Name and version of the program itself.
      if (target === 'package.json') continue;
      const targetRoom = roomOf(target);
      if (targetRoom !== room && (targetRoom === undefined || !MAY_USE[room]?.includes(targetRoom))) {
        problems.push(`${file} imports ${target}: ${room} may use ${MAY_USE[room]?.join(', ') || 'nothing'}`);
      }
    } else if (
      WORLDLY_MODULES.test(specifier) &&
      !TOUCHES_THE_WORLD.some((place) => file.startsWith(`${place}/`)) &&
      room !== 'lib/cli'
    ) {
      problems.push(`${file} imports ${specifier}: only lib/system touches the world`);
    }
  }
}

for (const problem of problems) console.error(problem);
console.log(`import arrows: ${problems.length === 0 ? 'all respected' : `${problems.length} broken`}`);
process.exitCode = problems.length === 0 ? 0 : 1;
