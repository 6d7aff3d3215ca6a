/**
 * `npm run offline -- [part …]`: builds what runs on real clusters need, on a machine without an image registry.
 * README.md beside this file says what, from what, and how long.
 */
import { readFile, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { $ } from 'zx';
import { suggest } from '../../lib/config/nearest.ts';
import { writeAtomically } from '../../lib/system/files.ts';
import { Console, tableOf } from './console.ts';
import { ensureEngine, stopEngine } from './engine.ts';
import { LABEL } from './images.ts';
import { ensurePrograms } from './packages.ts';
import {
  CONFIGURED_CHARTS,
  CONFIGURED_IMAGES,
  CONFIGURED_TOOLS,
  PARTS,
  type Part,
  allSteps,
  stepsOfParts,
} from './parts.ts';
import { makeFolders, placesOf } from './places.ts';
import { BuildError, UserError } from './problems.ts';
import { isUpToDate, runSteps } from './run.ts';
import { decide } from './steps.ts';
import { toolFile } from './tools.ts';
import { type Built, withBuilt, withoutBuilt } from './userConfiguration.ts';

const USAGE = `npm run offline -- [part …]

  engine       the Docker engine: installed and started where none answers
  tools        kind, kubectl, helm, istioctl
  kubernetes   node image of kind with Cilium as default CNI, with kind and kubectl
  istio        images of istiod and its proxy, with istioctl
  cilium       images of Cilium and its Cluster Mesh, with helm
  consul       image of Consul and its Envoy
  images       images of the probe and the gateway
  (none)       all of these
  stop-engine  stops the engine that this builder started
  clean        removes what was built: images, tools, intermediate files, entries in the configuration
`;

const places = placesOf(process.env);
const terminal = new Console(process.stderr);
const say = (line: string): void => terminal.say(line);

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted.abort(signal);
    say('Stopping; what is done stays done …');
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = exitCodeFor(error);
} finally {
  terminal.close();
}

async function main(words: readonly string[]): Promise<void> {
  if (words.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(USAGE);
    return;
  }
  makeFolders(places);
  const [word] = words;
  if (word === 'stop-engine' || word === 'clean') {
    if (words.length > 1)
      throw new UserError(`${word} takes no part beside it`, `npm run offline -- ${word}`);
    await (word === 'clean' ? clean() : stopEngine(places).then(say));
    return;
  }
  await build(partsOf(words));
}

/** `engine` is no part of its own: whatever else is wanted needs it. */
function partsOf(words: readonly string[]): readonly Part[] {
  const known: readonly string[] = [...PARTS, 'engine', 'stop-engine', 'clean'];
  for (const word of words) {
    if (known.includes(word)) continue;
    throw new UserError(`There is no part "${word}"`, suggest(word, known));
  }
  return words.length === 0 ? PARTS : PARTS.filter((part) => words.includes(part));
}

async function build(parts: readonly Part[]): Promise<void> {
  const began = performance.now();
  const version = await ensureEngine(places, say);
  say(`Docker engine ${version} answers.`);
  if (parts.length === 0) return;
  const steps = allSteps(places);
  const wanted = stepsOfParts(parts);
  const decisions = await decide(steps, wanted, (step, hash) => isUpToDate(places, step, hash));
  if (decisions.some(({ run }) => run)) await ensurePrograms(say);
  const outcomes = await runSteps(decisions, places, interrupted.signal, terminal);
  await dropReplaced();
  await nameBuilt(new Set(outcomes.map(({ step }) => step.id)));
  terminal.close();
  process.stdout.write(`\n${tableOf(outcomes, performance.now() - began)}\n`);
}

/** Images that have lost their name to newer ones of ours. */
async function dropReplaced(): Promise<void> {
  await $({ nothrow: true, quiet: true })`docker image prune --force --filter ${`label=${LABEL.inputs}`}`;
}

function builtBy(steps: { has(step: string): boolean }): Built {
  return {
    images: Object.fromEntries(
      Object.entries(CONFIGURED_IMAGES)
        .filter(([, { step }]) => steps.has(step))
        .map(([key, { name }]) => [key, name]),
    ),
    tools: Object.fromEntries(
      CONFIGURED_TOOLS.filter(({ step }) => steps.has(step)).map(({ name }) => [
        name,
        toolFile(places, name),
      ]),
    ),
    charts: Object.fromEntries(
      CONFIGURED_CHARTS.filter(({ step }) => steps.has(step)).map(({ name, folder }) => [
        name,
        folder(places),
      ]),
    ),
  };
}

async function nameBuilt(steps: ReadonlySet<string>): Promise<void> {
  const file = places.userConfiguration;
  const text = await readOrEmpty(file);
  const updated = withBuilt(text, builtBy(steps), file);
  if (updated === text) return;
  await writeAtomically(file, updated);
  say(`${file} names what was built.`);
}

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

async function clean(): Promise<void> {
  const docker = $({ nothrow: true, quiet: true });
  const listed = await docker`docker image ls --quiet --filter ${`label=${LABEL.inputs}`}`;
  const images = [...new Set(listed.stdout.split('\n').filter(Boolean))];
  if (images.length > 0) {
    const removed = await docker`docker image rm --force ${images}`;
    if (removed.exitCode !== 0) say(`Some images are in use and stay: ${removed.stderr.trim()}`);
  }
  say(await stopEngine(places));
  const file = places.userConfiguration;
  const text = await readOrEmpty(file);
  if (text !== '') {
    const rest = withoutBuilt(text, builtBy({ has: () => true }));
    if (rest === '') await rm(file);
    else if (rest !== text) await writeAtomically(file, rest);
  }
  await rm(places.cache, { recursive: true, force: true });
  say(
    `${images.length} images and ${places.cache} are removed. Go's own caches stay: \`go clean -cache -modcache\`.`,
  );
}

function exitCodeFor(error: unknown): number {
  if (interrupted.signal.aborted) {
    const signal = interrupted.signal.reason as 'SIGINT' | 'SIGTERM';
    return 128 + constants.signals[signal];
  }
  if (error instanceof UserError) {
    say(`${error.message}\n  remedy: ${error.remedy}`);
    return 2;
  }
  if (error instanceof BuildError) {
    say(
      `${error.message}\n\n${error.tail}\n\n  log: ${error.log}\n  remedy: see the log; a second run goes on from here`,
    );
    return 1;
  }
  throw error;
}
