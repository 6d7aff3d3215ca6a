import t from 'tap';
import { type ContainerReading, type Part, areSince, usageBetween } from '../../lib/model/usage.ts';

const reading = (container: string, facts: Partial<ContainerReading> = {}): ContainerReading => ({
  namespace: 'mcnet',
  pod: 'client',
  container,
  ...facts,
});
const at = (cpuAt: number, cpuNanoseconds: number, memoryBytes = 1e6): Partial<ContainerReading> => ({
  cpuAt,
  cpuNanoseconds,
  memoryBytes,
});
const partOf = ({ container }: { container: string }): Part =>
  container === 'proxy' ? 'data plane' : 'workloads';

void t.test('processors are what was used between two looks of the kubelet, by its own clock', async (t) => {
  const before = [reading('proxy', at(10_000, 5e9)), reading('agent', at(12_000, 1e9))];
  const after = [reading('proxy', at(30_000, 15e9, 31e6)), reading('agent', at(22_000, 1e9))];
  t.strictSame(usageBetween(before, after, partOf), [
    { ...reading('proxy'), part: 'data plane', memoryBytes: 31e6, cores: 0.5 },
    { ...reading('agent'), part: 'workloads', memoryBytes: 1e6, cores: 0 },
  ]);
});

void t.test('what cannot be told is not told', async (t) => {
  const before = [
    reading('restarted', at(0, 9e9)),
    reading('not looked at again', at(0, 9e9)),
    reading('gone', at(0, 1)),
  ];
  const after = [
    reading('restarted', at(20_000, 1e9)),
    reading('not looked at again', at(0, 9e9)),
    reading('new', at(20_000, 1e9)),
    reading('without figures'),
  ];
  const usage = usageBetween(before, after, partOf);
  t.strictSame(
    usage.map(({ container, cores, memoryBytes }) => [container, cores, memoryBytes]),
    [
      ['restarted', undefined, 1e6],
      ['not looked at again', undefined, 1e6],
      ['new', undefined, 1e6],
      ['without figures', undefined, undefined],
    ],
  );
});

void t.test('readings are fresh when every container that has figures was looked at since', async (t) => {
  t.ok(areSince([reading('a', at(5, 1)), reading('b')], 5));
  t.notOk(areSince([reading('a', at(5, 1)), reading('c', at(4, 1))], 5));
  t.ok(areSince([], 5));
});
