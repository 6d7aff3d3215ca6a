import { test } from 'tap';
import { parseHostRoutes, parseNetworks } from '../../../lib/provider/kind/docker.ts';
import { judgeResources } from '../../../lib/provider/kind/machine.ts';

const PLENTY = {
  memoryMegabytes: 16_000,
  diskMegabytes: 100_000,
  inotify: { limit: 512, used: 20 },
  rootFolder: '/var/lib/docker',
};

test('a machine with enough of everything, or that tells nothing, has no problem', (t) => {
  t.same(judgeResources(4, PLENTY), []);
  t.same(
    judgeResources(4, {
      rootFolder: '/',
      memoryMegabytes: undefined,
      diskMegabytes: undefined,
      inotify: undefined,
    }),
    [],
  );
  t.end();
});

test('too little of each is said with the numbers and the remedy', (t) => {
  const [memory] = judgeResources(2, { ...PLENTY, memoryMegabytes: 700 });
  t.match(memory?.what, /2 nodes need about 1000 MB of memory, and 700 MB are available/);
  const [disk] = judgeResources(1, { ...PLENTY, diskMegabytes: 100 });
  t.match(disk?.what, /1 node needs about 1500 MB of disk in \/var\/lib\/docker, and 100 MB are free/);
  const [inotify] = judgeResources(7, { ...PLENTY, inotify: { limit: 128, used: 100 } });
  t.match(inotify?.what, /and 28 of root's 128 are free/);
  t.match(inotify?.remedy, /^sysctl -w fs\.inotify\.max_user_instances=512$/);
  t.end();
});

test('subnets of Docker networks, whoever they belong to', (t) => {
  const shown = [
    'bridge [{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}]',
    'host null',
    'none []',
    'kind [{"Subnet":"fc00:f853::/64"},{"Subnet":"172.18.0.0/16"}]',
    'Error response from daemon: network gone not found',
  ].join('\n');
  t.same(parseNetworks(shown), [
    { range: '172.17.0.0/16', by: 'the Docker network bridge' },
    { range: 'fc00:f853::/64', by: 'the Docker network kind' },
    { range: '172.18.0.0/16', by: 'the Docker network kind' },
  ]);
  t.end();
});

test('routes of the machine, but for the default', (t) => {
  const shown =
    '[{"dst":"default","dev":"eth0"},{"dst":"10.0.0.0/8","dev":"tun0"},{"dst":"10.1.2.3","dev":"eth0"}]';
  t.same(parseHostRoutes(shown), [
    { range: '10.0.0.0/8', by: 'a route of this machine by tun0' },
    { range: '10.1.2.3/32', by: 'a route of this machine by eth0' },
  ]);
  t.same(parseHostRoutes(''), []);
  t.end();
});
