/** A real server with one caller, on loopback: what the lone splitter is there for, and what happens without it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { CONSUL_PROGRAM } from '../../../ci/offline/consul.ts';
import { programFile } from '../../../ci/offline/go.ts';
import { placesOf } from '../../../ci/offline/places.ts';
import {
  type ConfigEntry,
  LONE_SPLITTER,
  callerDefaults,
  intentions,
  meshEntries,
  routeEntries,
} from '../../../lib/profile/consul/entries.ts';
import { type CarriedPort, SERVER_PORTS, routeName } from '../../../lib/profile/consul/names.ts';
import { serverConfiguration } from '../../../lib/profile/consul/objects.ts';
import { type Request, deleteEntry, putEntry } from '../../../lib/profile/consul/server.ts';
import { registrationOf } from '../../../lib/profile/consul/sidecars.ts';
import { PORTS } from '../../../lib/model/workload.ts';
import { randomBelow, within } from '../../../lib/system/clock.ts';
import { takeBack } from '../../fixtures/takeBack.ts';

const LIMIT_MS = 60_000;
const LOOK_MS = 200;
/** Far longer than a server takes to follow what was written. */
const QUIET_MS = 1_000;
/** What leads a caller to a peer is not watched any more, and asked for anew. */
const FORGOTTEN = /proxycfg: stopping watch of target: .* target=\S+\.external\./;

const PLACE = { cluster: 'east', peers: ['west'] };
const SHARING = { preference: 'spread', ejectFailing: true } as const;
const carried = (name: string): CarriedPort => ({ name, port: PORTS.service, protocol: 'http' });
const SHARED = ['echo-mcnet', 'near-mcnet'];
/** Shared services, and one that callers know the way to before it is. */
const CALLED = [...SHARED, 'offered-mcnet'];

const PROGRAM = programFile(placesOf(process.env), CONSUL_PROGRAM.name);
const whyNot = existsSync(PROGRAM) ? false : 'Consul is not built: npm run offline -- consul';

interface Server {
  send(request: Request): Promise<void>;
  /** How many watches of peers it has stopped so far. */
  forgotten(): number;
}

async function startServer(t: Test): Promise<Server> {
  const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-consul-'));
  // All of 127/8 is this machine; on an address of its own the server has its usual ports.
  const address = `127.${1 + randomBelow(254)}.${randomBelow(256)}.1`;
  const file = path.join(folder, 'server.json');
  const configuration = {
    ...serverConfiguration('test', PLACE.cluster),
    data_dir: path.join(folder, 'data'),
    bind_addr: address,
    client_addr: address,
    log_level: 'trace',
  };
  writeFileSync(file, JSON.stringify(configuration));
  const child = spawn(PROGRAM, ['agent', '-config-file', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  takeBack(t, async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  let forgotten = 0;
  const lines = createInterface(child.stdout);
  lines.on('line', (line) => {
    if (FORGOTTEN.test(line)) forgotten++;
  });
  const ask = ({ method, path: where, body }: Request) =>
    fetch(`http://${address}:${SERVER_PORTS.http}${where}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const ready = await within(
    LIMIT_MS,
    () =>
      ask({ method: 'GET', path: '/v1/catalog/services' }).then(
        ({ ok }) => ok,
        () => false,
      ),
    LOOK_MS,
  );
  if (!ready) throw new Error('the server of Consul does not become ready');
  return {
    forgotten: () => forgotten,
    async send(request) {
      const answer = await ask(request);
      if (!answer.ok) throw new Error(`${request.path}: ${answer.status} ${await answer.text()}`);
    },
  };
}

void t.test('what a server knows of the ways of its callers', { skip: whyNot }, async (t) => {
  const server = await startServer(t);
  const put = async (...entries: readonly ConfigEntry[]): Promise<void> => {
    for (const entry of entries) await server.send(putEntry(entry));
  };
  /** @returns how many such watches were stopped by then */
  const settle = async (): Promise<number> => {
    let before = -1;
    await within(
      LIMIT_MS,
      async () => {
        const is = server.forgotten();
        const calm = is === before;
        before = is;
        return calm;
      },
      QUIET_MS,
    );
    return before;
  };
  const policyOf = (service: string) => intentions({ allow: [] }, service, PLACE);

  await put(
    ...meshEntries('local'),
    callerDefaults({ name: 'client-mcnet' }, new Map()),
    ...SHARED.flatMap((name) => routeEntries(SHARING, carried(name), PLACE)),
  );
  await server.send({
    method: 'PUT',
    path: '/v1/agent/service/register',
    body: JSON.parse(
      JSON.stringify(
        registrationOf(carried('client-mcnet'), 0, 'client', {
          upstreams: CALLED.map((name) => ({
            host: name,
            port: PORTS.service,
            name,
            protocol: 'http' as const,
            routes: [PLACE.cluster, ...PLACE.peers].map((cluster) => routeName(name, cluster)),
          })),
        }),
      ).replaceAll('@POD_IP@', '127.0.0.1'),
    ),
  });

  const before = await settle();
  await put(policyOf('guarded-mcnet'));
  t.equal(await settle(), before, 'a policy of another service takes no peer from callers');
  await put(...routeEntries(SHARING, carried('other-mcnet'), PLACE));
  t.equal(await settle(), before, 'nor does another service that is shared');

  await server.send(deleteEntry(LONE_SPLITTER));
  const alone = await settle();
  await put(policyOf('permitted-mcnet'));
  const taken = await within(LIMIT_MS, async () => server.forgotten() > alone, LOOK_MS);
  t.ok(taken, 'without the splitter each policy does');
});
