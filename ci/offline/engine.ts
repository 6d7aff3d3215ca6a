/** The Docker engine: used as it is where one answers, else installed from Debian's packages and started. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { $ } from 'zx';
import { placeOfPackages, installPackages } from './packages.ts';
import type { Places } from './places.ts';
import { UserError } from './problems.ts';
import { DEBIAN } from './versions.ts';

const START_MS = 60_000;
const STOP_MS = 30_000;
const SOURCE = placeOfPackages('sources.list.d/mcnet-conformance-offline.sources');
const PREFERENCE = placeOfPackages('preferences.d/mcnet-conformance-offline');

const quiet = $({ nothrow: true, quiet: true });

/** What the engine says of itself, or undefined when none answers at once. */
export async function engineVersion(): Promise<string | undefined> {
  const answer = await quiet`timeout 10 docker version --format ${'{{.Server.Version}}'}`;
  return answer.exitCode === 0 ? answer.stdout.trim() : undefined;
}

const pidFile = (places: Places): string => path.join(places.engine, 'dockerd.pid');
const logFile = (places: Places): string => path.join(places.engine, 'dockerd.log');

/** Starts, and where need be installs, an engine. @returns its version @throws UserError */
export async function ensureEngine(places: Places, say: (line: string) => void): Promise<string> {
  const running = await engineVersion();
  if (running) return running;
  if (process.getuid?.() !== 0) {
    throw new UserError(
      'No Docker engine answers, and only root may install or start one',
      'start the engine, or put yourself into its group; or run this as root on Debian',
    );
  }
  if (!existsSync('/usr/sbin/dockerd') && !existsSync('/usr/bin/dockerd')) await install(say);
  say('Starting the Docker engine …');
  return start(places);
}

async function install(say: (line: string) => void): Promise<void> {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID=debian$/m.test(release)) {
    throw new UserError(
      'No Docker engine is installed, and this is not Debian',
      'install one with your distribution’s packages and start it',
    );
  }
  // bookworm's 20.10 fails on privileged containers with this runc; of trixie only what is named comes.
  say(`Adding ${DEBIAN.rest} of Debian as a package source of low priority: ${SOURCE}, ${PREFERENCE}`);
  writeFileSync(
    SOURCE,
    [
      '# Added for the offline builder of mcnet-conformance; may be removed.',
      'Types: deb',
      `URIs: ${DEBIAN.mirror}`,
      `Suites: ${DEBIAN.rest}`,
      'Components: main',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
      '',
    ].join('\n'),
  );
  writeFileSync(
    PREFERENCE,
    ['Package: *', `Pin: release n=${DEBIAN.rest}`, 'Pin-Priority: 100', ''].join('\n'),
  );
  say('Installing docker.io and docker-cli …');
  await installPackages([`docker.io/${DEBIAN.rest}`, `docker-cli/${DEBIAN.rest}`]);
}

async function start(places: Places): Promise<string> {
  const log = openSync(logFile(places), 'a');
  const child = spawn('dockerd', ['--storage-driver', 'overlay2', '--pidfile', pidFile(places)], {
    // A session of its own: a Ctrl-C here is not meant for it, and it stays when this program ends.
    detached: true,
    stdio: ['ignore', log, log],
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(`it ended with ${code ?? signal}`));
  });
  child.unref();
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const gone = await Promise.race([ended, wait(500, undefined, { ref: true })]);
    if (gone !== undefined) {
      throw new UserError(`The Docker engine does not start: ${gone}`, `see ${logFile(places)}`);
    }
    const version = await engineVersion();
    if (version) return version;
  }
  throw new UserError(
    `The Docker engine does not answer after ${START_MS / 1_000} s`,
    `see ${logFile(places)}`,
  );
}

/** Stops the engine that this builder started, and no other. @returns what was done, in one sentence */
export async function stopEngine(places: Places): Promise<string> {
  const pid = startedPid(places);
  if (pid === undefined) return 'No engine that was started from here is running.';
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + STOP_MS;
  while (Date.now() < deadline) {
    await wait(200);
    if (startedPid(places) === undefined) {
      rmSync(pidFile(places), { force: true });
      return `The engine (process ${pid}) has stopped.`;
    }
  }
  throw new UserError(
    `The engine (process ${pid}) does not end`,
    `see ${logFile(places)}; containers that do not stop hold it`,
  );
}

function startedPid(places: Places): number | undefined {
  if (!existsSync(pidFile(places))) return undefined;
  const pid = Number(readFileSync(pidFile(places), 'utf8').trim());
  // A process id may have been given to another program since.
  const command = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
  return command.includes('dockerd') ? pid : undefined;
}
