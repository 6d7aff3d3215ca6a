import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { judgeIperf, parseCpuTimes } from '../../lib/probe/agent/throughput.ts';
import { takeBack } from '../fixtures/takeBack.ts';
import { NEEDS_ROOT, Network } from './fixtures/network.ts';

const GOOD = {
  intervals: [{ streams: [{ pmtu: 1420 }] }],
  end: {
    streams: [{ sender: { mean_rtt: 500 } }],
    sum_sent: { bytes: 125_000_000, retransmits: 3 },
    sum_received: { bytes: 125_000_000, seconds: 1, bits_per_second: 1e9 },
    cpu_utilization_percent: { host_total: 40, remote_total: 30 },
  },
};
type Report = typeof GOOD;

const alter = (change: (report: Report) => void): string => {
  const report = structuredClone(GOOD);
  change(report);
  return JSON.stringify(report);
};
const judge = (stdout: string, exitCode: number | null = 0, killed = false) =>
  judgeIperf({ stdout, stderr: '', exitCode, killed }, { seconds: 1, streams: 1 });

t.test('consistent figures are believed', async (t) => {
  t.same(judge(JSON.stringify(GOOD)), {
    outcome: 'measured',
    bitsPerSecond: 1e9,
    retransmits: 3,
    meanRttMs: 0.5,
    pmtu: 1420,
    hostCpuPercent: 40,
    remoteCpuPercent: 30,
  });
});

t.test('nothing else is', async (t) => {
  const lies: Record<string, string> = {
    'an error in spite of good figures': JSON.stringify({ ...GOOD, error: 'the server is busy' }),
    'no rate': alter(({ end }) => Reflect.deleteProperty(end.sum_received, 'bits_per_second')),
    'rate of zero': alter(({ end }) => (end.sum_received.bits_per_second = 0)),
    'negative rate': alter(({ end }) => (end.sum_received.bits_per_second = -1e9)),
    'absurd rate': alter(({ end }) => {
      end.sum_received = { bytes: 1e15, seconds: 1, bits_per_second: 8e15 };
      end.sum_sent.bytes = 1e15;
    }),
    'rate that is not bytes by time': alter(({ end }) => (end.sum_received.bits_per_second = 5e9)),
    'more received than sent': alter(({ end }) => (end.sum_sent.bytes = 1)),
    'too short': alter(({ end }) => {
      end.sum_received = { bytes: 12_500_000, seconds: 0.1, bits_per_second: 1e9 };
    }),
    'no stream': alter(({ end }) => (end.streams = [])),
    'no JSON': 'bits_per_second: 1e9',
    'a list': '[]',
    nothing: '',
  };
  for (const [name, stdout] of Object.entries(lies)) {
    const verdict = judge(stdout);
    t.match(verdict, { outcome: 'error', bitsPerSecond: 0 }, name);
    t.ok(verdict.detail, `${name}: ${verdict.detail}`);
  }
  t.match(judge(JSON.stringify(GOOD), 1), { outcome: 'error' }, 'bad exit status');
  t.match(judge(JSON.stringify(GOOD), null, true), { outcome: 'error', detail: /in time/ });
});

t.test('CPU times', async (t) => {
  t.same(parseCpuTimes('cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1 2 3\n'), { total: 100, idle: 70 });
  t.equal(parseCpuTimes(''), undefined);
});

t.test('an agent with a faulty iperf3 or none', { skip: NEEDS_ROOT }, async (t) => {
  const network = new Network();
  takeBack(t, () => network.remove());
  const bin = path.join(network.folder, 'bin');
  mkdirSync(bin);
  const install = (script: string): void => {
    writeFileSync(path.join(bin, 'iperf3'), `#!/bin/sh\n${script}\n`);
    chmodSync(path.join(bin, 'iperf3'), 0o755);
  };
  // Of all programs the agent finds only these, and the iperf3 of the moment.
  for (const tool of ['/sbin/ip', '/usr/bin/setpriv', '/bin/true']) {
    symlinkSync(tool, path.join(bin, path.basename(tool)));
  }
  const { probe } = await network.startAgent('router', { PATH: bin });
  const request = { address: '127.0.0.1', port: 5201, seconds: 1 };

  install('echo \'{"end":{"sum_received":{"bits_per_second":-5,"bytes":1,"seconds":1}}}\'');
  t.match(await probe.throughput(request), { outcome: 'error', detail: /bits_per_second is -5/ });
  install('echo \'{"error":"interrupt - the client has terminated"}\'; exit 0');
  t.match(await probe.throughput(request), { outcome: 'error', detail: /terminated/ });
  install('echo \'{"error":"error - the server is busy running a test. try again later"}\'; exit 1');
  t.match(await probe.throughput(request), { outcome: 'error', detail: /busy/ }, 'retries come to an end');
  await t.rejects(probe.throughput({ ...request, seconds: 1.5 }), {
    name: 'ProbeError',
    message: /not whole/,
  });
  install('/bin/sleep 300');
  t.match(await probe.throughput(request), { outcome: 'error', detail: /did not end in time/ });
  await t.rejects(probe.serveThroughput({ port: 5201 }), { name: 'ProbeError', message: /did not start/ });
  install('echo hello; exit 3');
  await t.rejects(probe.serveThroughput({ port: 5201 }), { name: 'ProbeError', message: /ended \(3\)/ });

  rmSync(path.join(bin, 'iperf3'));
  t.match(await probe.throughput(request), { outcome: 'error', detail: '`iperf3` is not installed' });
  await t.rejects(probe.serveThroughput({ port: 5201 }), { name: 'ProbeError', message: /not installed/ });
  await t.rejects(probe.ping({ address: '127.0.0.1' }), {
    name: 'ProbeError',
    message: /`ping` is not installed/,
  });
  t.match((await probe.facts()).tools, { iperf3: null, ping: null });
});
