import t from 'tap';
import { conflict } from '../../suites/conflicts.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, times } from './samples.ts';

const answered = (cluster: string) => times(10, () => answeredBy(cluster));
const ports = (port: number) => [{ name: 'http', port, protocol: 'tcp' }];
const look = (cluster: string, changes: object = {}) => ({
  cluster,
  address: '10.8.0.7',
  state: { conflict: 'ports differ', ports: ports(8090) },
  exchanges: answered('east'),
  ...changes,
});
const observed = {
  older: 'east',
  newer: 'west',
  port: 8090,
  looks: [look('east'), look('west')],
  elapsedMs: 900,
  afterwards: { ports: ports(8090) },
  links: [],
};
const verdict = (changes: object) => outcomeOf(judge(conflict, { ...observed, ...changes }));

t.test('sharing.conflict', async (t) => {
  t.equal(verdict({}), 'passed');
  const untold = look('east', { state: { ports: ports(8090) } });
  t.equal(verdict({ looks: [untold, look('west')] }), 'failed: conflict-told-wrongly');
  const links = [{ cause: 'control-plane-down', what: 'no control plane is ready in west' }];
  t.equal(verdict({ looks: [untold, look('west')], links }), 'failed: control-plane-down');
  t.equal(verdict({ links }), 'passed', 'a link that is broken only afterwards is for other checks');
  for (const wrong of [ports(8080), [...ports(8090), ...ports(8080)], []]) {
    const newerHolds = look('west', { state: { conflict: 'ports differ', ports: wrong } });
    t.equal(verdict({ looks: [look('east'), newerHolds] }), 'failed: conflict-unresolved');
  }
  t.equal(
    verdict({ looks: [look('east'), look('west', { exchanges: answered('west') })] }),
    'failed: conflict-unresolved',
    'the one that exported first never answers',
  );
  t.equal(
    verdict({ looks: [look('east'), look('west', { address: '', exchanges: [] })] }),
    'failed: conflict-unresolved',
  );
  t.equal(
    verdict({ afterwards: { conflict: 'ports differ', ports: [] } }),
    'failed: conflict-told-wrongly',
    'it stays after the newer export is gone',
  );
  t.equal(verdict({ looks: [look('east')] }), 'inconclusive: probe-failed');
});
