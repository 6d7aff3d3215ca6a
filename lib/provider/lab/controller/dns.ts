/** The cluster's DNS server: one dnsmasq, started here, and never started again behind anyone's back. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { REVISION_ZONE, hostsFile } from './records.ts';

/** A reload of some hundred names takes milliseconds; one that takes a second is not going to happen. */
const RELOAD_MS = 1_000;
const START_MS = 5_000;
const QUERY_TIMEOUT_MS = 250;
const QUERY_INTERVAL_MS = 10;
const TERMINATION_MS = 500;

export class DnsServer {
  #folder = '';
  #child: ChildProcess | undefined;
  /** What this controller last gave the server; the files may have been edited since. */
  #configuration = '';
  #hosts = '';
  #resolvers: Resolver[] = [];

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Brings the server to this content and waits until it answers with it. Does nothing when nothing has changed, whatever
   * state the server is in. @throws Error when it does not answer in time
   */
  async configure(
    folder: string,
    addresses: readonly string[],
    configuration: string,
    hosts: string,
  ): Promise<void> {
    if (configuration === this.#configuration && hosts === this.#hosts) return;
    this.#folder = folder;
    this.#resolvers = addresses.map((address) => {
      const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: 1 });
      resolver.setServers([address.includes(':') ? `[${address}]` : address]);
      return resolver;
    });
    if (configuration === this.#configuration) {
      await this.follow(hosts);
      if (this.#child && (await this.#answersWith(hosts, RELOAD_MS))) return;
    }
    await this.stop();
    await this.#replace(hostsFile(folder), withRevision(hosts));
    await this.#replace(path.join(folder, 'dnsmasq.conf'), configuration);
    this.#hosts = hosts;
    this.#configuration = configuration;
    this.#start();
    if (await this.#answersWith(hosts, START_MS)) return;
    this.#configuration = '';
    throw new Error(`the DNS server does not answer on ${addresses.join(', ')}`);
  }

  /** New addresses for the server that was configured; one that has died or is stopped stays so. */
  async follow(hosts: string): Promise<void> {
    if (this.#configuration === '' || hosts === this.#hosts) return;
    await this.#replace(hostsFile(this.#folder), withRevision(hosts));
    this.#hosts = hosts;
    this.#child?.kill('SIGHUP');
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    // A stopped process takes no other signal than this one.
    const impatient = setTimeout(() => child.kill('SIGKILL'), TERMINATION_MS);
    await gone;
    clearTimeout(impatient);
  }

  #start(): void {
    const child = spawn('dnsmasq', [`--conf-file=${path.join(this.#folder, 'dnsmasq.conf')}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#child = child;
    const ended = (cause: string) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      console.log(`dns server ended: ${cause}`);
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
  }

  async #answersWith(hosts: string, withinMs: number): Promise<boolean> {
    const name = revisionName(hosts);
    const deadline = performance.now() + withinMs;
    for (const resolver of this.#resolvers) {
      while (!(await resolver.resolve4(name).catch(() => undefined))) {
        if (!this.#child || performance.now() > deadline) return false;
        await wait(QUERY_INTERVAL_MS);
      }
    }
    return true;
  }

  /** As a whole or not at all, since the server may read at any moment; it need not survive a power cut. */
  async #replace(file: string, content: string): Promise<void> {
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}

function revisionName(hosts: string): string {
  return `${createHash('sha256').update(hosts).digest('hex').slice(0, 32)}.${REVISION_ZONE}`;
}

const withRevision = (hosts: string): string => `${hosts}127.0.0.1 ${revisionName(hosts)}\n`;
