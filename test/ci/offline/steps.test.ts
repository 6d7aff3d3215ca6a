import { test } from 'tap';
import { type Step, decide, hashesOf } from '../../../ci/offline/steps.ts';

const step = (id: string, needs: readonly string[] = [], inputs: Step['inputs'] = {}): Step => ({
  id,
  title: id,
  lane: 'compile',
  needs,
  inputs,
  run: async () => {},
});

const chain = [step('sources'), step('program', ['sources']), step('image', ['program']), step('other')];

const decided = async (steps: readonly Step[], wanted: string[], upToDate: string[]) =>
  (await decide(steps, wanted, async ({ id }) => upToDate.includes(id))).map(
    ({ step: { id }, run }) => `${run ? 'run' : 'skip'} ${id}`,
  );

test('what is not up to date runs, after what it needs', async (t) => {
  t.same(await decided(chain, ['image'], []), ['run sources', 'run program', 'run image']);
  t.same(await decided(chain, ['image'], ['sources']), ['skip sources', 'run program', 'run image']);
});

test('behind a result that is up to date nothing is looked at', async (t) => {
  t.same(await decided(chain, ['image'], ['image']), ['skip image'], 'intermediate results may be missing');
  t.same(await decided(chain, ['image', 'other'], ['image']), ['skip image', 'run other']);
});

test('what two steps need runs once', async (t) => {
  const steps = [step('base'), step('a', ['base']), step('b', ['base'])];
  t.same(await decided(steps, ['a', 'b'], []), ['run base', 'run a', 'run b']);
});

test('an input changes the hash of its step and of all that need it', async (t) => {
  const before = hashesOf(chain);
  const after = hashesOf([step('sources'), step('program', ['sources'], { flags: '-s' }), ...chain.slice(2)]);
  const changed = [...before.keys()].filter((id) => before.get(id) !== after.get(id));
  t.same(changed.toSorted(), ['image', 'program']);
});

test('a step that is missing or needs itself is our own mistake', async (t) => {
  t.throws(() => hashesOf([step('a', ['b'])]), /a needs b, which is no step/);
  t.throws(() => hashesOf([step('a', ['b']), step('b', ['a'])]), /need each other: a, b, a/);
  await t.rejects(decided(chain, ['nothing'], []), /nothing is no step/);
});
