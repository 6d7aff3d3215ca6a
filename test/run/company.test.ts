import t from 'tap';
import type { Disturbance, FaultSpec } from '../../lib/model/fault.ts';
import { Company, type SharedInjection } from '../../lib/run/company.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const fault: FaultSpec = { kind: 'tunnel-down', between: ['east', 'west'] };

function disturbanceIn(log: string[], name: string): SharedInjection {
  const inject = async (): Promise<Disturbance> => {
    log.push(`inject ${name}`);
    return {
      tookHold: async () => {
        log.push(`look ${name}`);
        return true;
      },
      mend: async () => void log.push(`mend ${name}`),
      settle: async () => void log.push(`settle ${name}`),
    };
  };
  return { inject };
}

t.test('a fault stands from when all have had their controls until all have seen enough', async (t) => {
  const company = new Company();
  const [a, b] = [company.join(), company.join()];
  const log: string[] = [];
  const life = async (name: string, member: typeof a): Promise<void> => {
    await member.readyForFault();
    const disturbance = await member.inject(fault, disturbanceIn(log, 'it'));
    await disturbance.tookHold();
    log.push(`${name} sees`);
    await member.seenEnough();
    t.ok(await disturbance.mend());
    log.push(`${name} recovers`);
    member.leave();
  };
  const first = life('a', a);
  await turn();
  t.strictSame(log, [], 'the other has no control yet');
  await Promise.all([first, life('b', b)]);
  t.strictSame(
    log.map((line) => line.replace(/^[ab] /, '')),
    ['inject it', 'look it', 'sees', 'sees', 'mend it', 'recovers', 'recovers'],
    'the same fault is injected, looked at and mended once',
  );
});

t.test('whoever ends early keeps nobody waiting, and takes the fault from nobody', async (t) => {
  const company = new Company();
  const [a, b, c] = [company.join(), company.join(), company.join()];
  const log: string[] = [];
  const ready = Promise.all([a.readyForFault(), b.readyForFault()]);
  await turn();
  c.leave();
  await ready;
  const inject = disturbanceIn(log, 'it');
  const [ofA, ofB] = await Promise.all([a.inject(fault, inject), b.inject(fault, inject)]);
  a.leave();
  t.equal(await ofA.mend(), false, 'b still needs it');
  t.strictSame(log, ['inject it']);
  await b.seenEnough();
  t.equal(await ofB.mend(), true);
  t.equal(await ofB.mend(), true, 'twice does nothing');
  t.strictSame(log, ['inject it', 'mend it']);
});

t.test('what faults left behind is settled once nobody watches any more', async (t) => {
  const company = new Company();
  const [a, b] = [company.join(), company.join()];
  const log: string[] = [];
  const other: FaultSpec = { kind: 'tunnel-down', between: ['west', 'east'] };
  const [ofA, ofB] = await Promise.all([
    a.inject(fault, disturbanceIn(log, 'it')),
    b.inject(other, disturbanceIn(log, 'other')),
  ]);
  await Promise.all([a.seenEnough(), b.seenEnough()]);
  await Promise.all([ofA.mend(), ofB.mend()]);
  log.length = 0;
  a.leave();
  await ofA.settle();
  t.strictSame(log, [], 'b still watches');
  b.leave();
  await ofB.settle();
  await ofB.settle();
  t.strictSame(log, ['settle it', 'settle other']);
});

t.test('a fault that is in place with another one is injected with it', async (t) => {
  const company = new Company();
  const [a, b] = [company.join(), company.join()];
  const log: string[] = [];
  const north: FaultSpec = { kind: 'tunnel-down', between: ['east', 'north'] };
  const isSame = (one: FaultSpec, other: FaultSpec): boolean => one.kind === other.kind;
  const [ofA, ofB] = await Promise.all([
    a.inject(fault, { ...disturbanceIn(log, 'west'), isSame }),
    b.inject(north, { ...disturbanceIn(log, 'north'), isSame }),
  ]);
  t.ok(await ofB.tookHold());
  await Promise.all([a.seenEnough(), b.seenEnough()]);
  await Promise.all([ofA.mend(), ofB.mend()]);
  t.strictSame(log, ['inject west', 'look west', 'mend west']);
});

t.test('different faults are each injected; one that cannot be fails those who wanted it', async (t) => {
  const company = new Company();
  const [a, b, c] = [company.join(), company.join(), company.join()];
  const log: string[] = [];
  const other: FaultSpec = { kind: 'tunnel-down', between: ['west', 'east'] };
  const broken = { inject: () => Promise.reject(new Error('no such interface')) };
  const [, ofB] = await Promise.all([
    t.rejects(a.inject(other, broken), /no such interface/),
    b.inject(fault, disturbanceIn(log, 'it')),
    t.rejects(c.inject(other, broken), /no such interface/),
  ]);
  a.leave();
  c.leave();
  await b.seenEnough();
  t.ok(await ofB.mend());
  t.strictSame(log, ['inject it', 'mend it']);
});

t.test('what all have in common is changed once, by the last to come', async (t) => {
  const company = new Company();
  const [a, b] = [company.join(), company.join()];
  const log: string[] = [];
  const changing = (name: string) => async () => void log.push(name);
  const first = a.inStep('start', changing('a starts'));
  await turn();
  t.strictSame(log, [], 'the other has not come this far');
  await Promise.all([first, b.inStep('start', changing('b starts'))]);
  await Promise.all([b.inStep('stop', changing('b stops')), a.inStep('stop', changing('a stops'))]);
  t.strictSame(log, ['b starts', 'a stops']);
  const broken = a.inStep('break', changing('a breaks'));
  const breaking = b.inStep('break', () => Promise.reject(new Error('no such backend')));
  await Promise.all([t.rejects(broken, /no such backend/), t.rejects(breaking, /no such backend/)]);
});

t.test('nobody goes on with what somebody else takes with it who ends early', async (t) => {
  const company = new Company();
  const [a, b] = [company.join(), company.join()];
  await Promise.all([a.inStep('start', async () => {}), b.inStep('start', async () => {})]);
  const waiting = a.inStep('stop', async () => {});
  b.leave();
  await t.rejects(waiting, { name: 'CompanionLeftError', message: /before this: stop/ });
  await t.rejects(
    a.inStep('end', async () => {}),
    { name: 'CompanionLeftError' },
  );

  const well = new Company();
  const [c, d] = [well.join(), well.join()];
  await Promise.all([c.inStep('all', async () => {}), d.inStep('all', async () => {})]);
  c.leave();
  d.leave();
  t.pass('whoever has taken all steps may leave before the others');
});
