import t from 'tap';
import type { DrillClient, DrillObservation, DrillSample } from '../../lib/model/drill.ts';
import type { Probe, Sample } from '../../lib/model/probe.ts';
import { type DrillTraffic, drill, drillable, parseFault } from '../../lib/run/drill.ts';
import { clientName, judgeDrill, summarise } from '../../lib/run/drillJudge.ts';
import { FakeSystem, probeOf, specOf, temporaryFolder, topologyOf } from './support.ts';

const WINDOW = { faultAt: 3_000, mendAt: 13_000, endedAt: 18_000 };
/** One request each 500 ms; bad while `isBad`. */
const samplesOf = (isBad: (at: number) => boolean, cluster = 'west'): DrillSample[] =>
  Array.from({ length: 36 }, (_, index) => {
    const at = index * 500;
    return isBad(at)
      ? { at, latencyMs: 100, ok: false, outcome: 'timed-out' }
      : { at, latencyMs: 1, ok: true, cluster };
  });
const clientOf = (isBad: (at: number) => boolean): DrillClient => ({
  from: 'east',
  to: 'west',
  kind: 'new',
  samples: samplesOf(isBad),
});
const drillOf = (client: DrillClient, changes: Partial<DrillObservation> = {}): DrillObservation => ({
  fault: { kind: 'wan-drop', from: 'east', to: 'west' },
  held: true,
  ...WINDOW,
  clients: [client],
  ...changes,
});

t.test('a client that notices nothing', async (t) => {
  const client = clientOf(() => false);
  t.match(summarise(client, WINDOW), { lost: 0, recoveredMs: 0, answeredBy: [['west'], ['west'], ['west']] });
  t.match(judgeDrill(drillOf(client)), { status: 'passed', reason: /No client noticed/ });
});

t.test('a client that is down as long as the fault stands', async (t) => {
  const client = clientOf((at) => at >= 3_500 && at <= 13_500);
  const summary = summarise(client, WINDOW);
  t.match(summary, { noticedMs: 500, recoveredMs: 600, lost: 21, requests: 30 });
  t.equal(summary.failedOverMs, undefined);
  t.match(judgeDrill(drillOf(client)), { status: 'passed', reason: /1 of 1 clients lost requests/ });
});

t.test('a client whom others take over', async (t) => {
  const summary = summarise(
    clientOf((at) => at >= 3_000 && at <= 5_000),
    WINDOW,
  );
  t.match(summary, { noticedMs: 0, failedOverMs: 2_100, recoveredMs: 0, lost: 5 });
});

t.test('a client that never recovers fails the drill', async (t) => {
  const client = clientOf((at) => at >= 4_000);
  t.equal(summarise(client, WINDOW).recoveredMs, undefined);
  t.match(judgeDrill(drillOf(client)), { status: 'failed', seen: new RegExp(clientName(client)) });
});

t.test('a drill that could show nothing is inconclusive', async (t) => {
  t.match(
    judgeDrill(
      drillOf(
        clientOf(() => false),
        { held: false },
      ),
    ),
    {
      status: 'inconclusive',
      cause: 'fault-did-not-hold',
    },
  );
  t.match(judgeDrill(drillOf(clientOf(() => true))), { status: 'inconclusive', cause: 'control-failed' });
  t.equal(
    judgeDrill(
      drillOf(
        clientOf(() => false),
        { clients: [] },
      ),
    ).status,
    'inconclusive',
  );
});

t.test('what to break, and where', async (t) => {
  const kinds = ['wan-drop', 'dns-stopped'] as const;
  const topology = topologyOf(['east', 'west', 'north']);
  t.same(parseFault('wan-drop', kinds, topology), { kind: 'wan-drop', focus: { from: 'east', to: 'west' } });
  t.same(parseFault('wan-drop[north->east]', kinds, topology).focus, { from: 'north', to: 'east' });
  t.throws(() => parseFault('wan-dorp', kinds, topology), {
    message: /Nothing here can inject/,
    remedy: /Did you mean "wan-drop"\?/,
  });
  t.throws(() => parseFault('wan-drop[east->wets]', kinds, topology), {
    message: /no pair east->wets/,
    remedy: /Did you mean "west"\?/,
  });
  t.throws(() => parseFault('wan-drop[east->east]', kinds, topology), { message: /no pair/ });
});

const TRAFFIC: DrillTraffic = {
  fixtures: [
    {
      name: 'apps',
      workloads: ['client', 'echo'].map((name) => ({ namespace: 'apps', name, labels: {} })),
    },
  ],
  caller: 'apps/client',
  target: 'apps/echo',
  service: { namespace: 'apps', name: 'echo' },
  port: 8080,
};

/** Samplers that answered all the time, with what was started and stopped. */
function samplingProbe() {
  const running = new Set<string>();
  let started = 0;
  const answers: Partial<Probe> = {
    startSampling: async () => {
      const id = `s${++started}`;
      running.add(id);
      return id;
    },
    stopSampling: async (id) => {
      running.delete(id);
      const samples = Array.from({ length: 5_000 }, (_, index): Sample => ({
        at: index,
        latencyMs: 1,
        outcome: 'answered',
        cluster: 'west',
      }));
      return { startedAtMs: 0, samples };
    },
    exchange: async (requests) =>
      requests.map((request) => ({ ...request, nonce: 'n', outcome: 'answered' as const, durationMs: 1 })),
    resolve: async (requests) =>
      requests.map((request) => ({
        ...request,
        transport: 'udp' as const,
        outcome: 'answered' as const,
        rcode: 'NOERROR',
        addresses: ['10.0.0.1'],
        services: [],
        ttls: [5],
        durationMs: 1,
      })),
  };
  return { probe: probeOf(answers), running, started: () => started };
}

t.test('samplers run around the fault, and all of them are stopped', async (t) => {
  const { probe, running, started } = samplingProbe();
  const system = new FakeSystem({ probe });
  const folder = await temporaryFolder();
  const dependencies = system.dependencies([], folder);
  t.ok(drillable(dependencies).includes('policy-flushed'));
  const options = { fault: 'policy-flushed', forMs: 1_000, traffic: TRAFFIC };
  const { run, observation, summaries } = await drill(specOf({ out: folder }), options, dependencies);
  t.equal(run.exitCode, 0);
  t.same(observation?.fault, { kind: 'policy-flushed', cluster: 'west' });
  t.equal(started(), 12, 'three for each directed pair, and three for each caller of the service');
  t.equal(observation?.clients.length, 14, 'and one that asks for names in each cluster');
  t.equal(summaries.length, 14);
  t.same([...running], []);
  t.ok(system.log.indexOf('inject policy-flushed') < system.log.indexOf('mend policy-flushed'));
  t.same([...system.existing], []);
});
