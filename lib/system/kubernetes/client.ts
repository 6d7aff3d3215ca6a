/** One cluster's API server: requests and exec sessions, every one with a limit, all of them counted. */
import type { KubeConfig } from '@kubernetes/client-node';
import { systemClock } from '../clock.ts';
import type { Command } from '../commands.ts';
import { SHELL_SESSION, ShellSession } from '../shellSession.ts';
import { isTakingBack } from '../takingBack.ts';
import { KubernetesError, isStatus, refusal, transportFailure } from './errors.ts';
import { type Library, configFor, loadLibrary } from './kubeconfig.ts';
import { type PodReference, ExecStream, type Socket, runInPod } from './sessions.ts';

/** One request, tries and waits between them included. */
const REQUEST_MS = 20_000;
/** One try: an API server that is busy answers late, one that hangs never. */
const TRY_MS = 10_000;
/** Waits before another try, of what may be tried again. */
const RETRY_MS = [200, 500, 1_000] as const;
/** Opening an exec session: the API server asks the kubelet first. */
const CONNECT_MS = 15_000;
/** A program that runs to its end. */
const EXEC_MS = 20_000;
/** More at once only queue at a small API server. */
const MOST_AT_ONCE = 8;

const NO_STREAMS = {
  stdin: { pause: () => {} },
  stdout: { end: () => {} },
  stderr: { end: () => {} },
};

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiRequest {
  /** For people: `list pods of mcnet in east`. */
  readonly what: string;
  readonly method: HttpMethod;
  /** From the root, its parts percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
  readonly timeoutMs?: number;
}

/** A port of a pod that speaks HTTP. */
export interface PodPort {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

/** Of whoever was asked, whether or not it is a success. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** What an API group says of one of its kinds. */
export interface ApiResource {
  /** Plural, as in paths. */
  readonly name: string;
  readonly namespaced: boolean;
}

export interface KubernetesClientOptions {
  /** Absent: as kubectl finds it. */
  readonly kubeconfig?: string;
  readonly context: string;
  /** Aborted: nothing more is asked but to take something back (`takingBack`), and sessions end. */
  readonly signal?: AbortSignal;
}

interface Loaded {
  readonly library: Library;
  readonly config: KubeConfig;
  readonly server: string;
}

type Dispatcher = ReturnType<InstanceType<Library['RequestContext']>['getDispatcher']>;

export class KubernetesClient {
  readonly context: string;
  readonly #options: KubernetesClientOptions;
  readonly #resources = new Map<string, Promise<ReadonlyMap<string, ApiResource>>>();
  readonly #sessions = new Set<ExecStream>();
  readonly #shells = new Map<string, ShellSession>();
  #loading: Promise<Loaded> | undefined;
  #dispatcher: Dispatcher;
  #requests = 0;
  #execs = 0;
  #underWay = 0;
  readonly #queue: (() => void)[] = [];

  /** Nothing is read or asked yet. */
  constructor(options: KubernetesClientOptions) {
    this.#options = options;
    this.context = options.context;
  }

  /** So far. */
  get counts(): { readonly requests: number; readonly execs: number } {
    return { requests: this.#requests, execs: this.#execs };
  }

  /** URL of the API server, and its certificate authority as PEM where the kubeconfig names one. */
  async server(): Promise<{ readonly url: string; readonly authority?: string }> {
    const { config, server } = await this.#load();
    const options: { ca?: string | Buffer } = {};
    await config.applyToHTTPSOptions(options);
    return { url: server, ...(options.ca !== undefined && { authority: options.ca.toString() }) };
  }

  #load(): Promise<Loaded> {
    this.#loading ??= (async () => {
      const [library, config] = await Promise.all([
        loadLibrary(),
        configFor(this.#options.kubeconfig, this.context),
      ]);
      return { library, config, server: (config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '') };
    })();
    return this.#loading;
  }

  /** @returns the parsed answer @throws KubernetesError */
  async json(request: ApiRequest): Promise<unknown> {
    const text = await this.text(request);
    try {
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    } catch (error) {
      throw new KubernetesError('refused', `${request.what}: the answer is no JSON`, { cause: error });
    }
  }

  /** @returns the answer as it came @throws KubernetesError */
  async text(request: ApiRequest): Promise<string> {
    return (await this.#ask(request, ({ status }) => isSuccess(status))).body;
  }

  /**
   * What listens at a port of a pod is asked by the API server: no program has to start there, as it would for a session.
   * @param request with its path there @returns any answer of it @throws KubernetesError when the API server has none
   */
  askPod({ namespace, name, port }: PodPort, request: ApiRequest): Promise<HttpAnswer> {
    const pod = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    return this.#ask(
      { ...request, path: `${pod}:${port}/proxy${request.path}` },
      ({ status, body }) => isSuccess(status) || !isStatus(body),
    );
  }

  async #ask(request: ApiRequest, isAnswer: (answer: HttpAnswer) => boolean): Promise<HttpAnswer> {
    const end = systemClock.monotonic() + (request.timeoutMs ?? REQUEST_MS);
    for (let attempt = 0; ; attempt++) {
      const left = end - systemClock.monotonic();
      try {
        const tryMs = Math.max(1, Math.ceil(Math.min(TRY_MS, left)));
        const answer = await this.#place(() => this.#send(request, tryMs));
        if (isAnswer(answer)) return answer;
        throw refusal(request.what, answer.status, answer.body);
      } catch (error) {
        const wait = RETRY_MS[attempt];
        const again =
          wait !== undefined &&
          systemClock.monotonic() + wait < end &&
          !this.#signal?.aborted &&
          mayPass(error, request);
        if (!again) throw error;
        await systemClock.sleep(wait, this.#signal);
      }
    }
  }

  /** What ends whatever is asked now. */
  get #signal(): AbortSignal | undefined {
    return isTakingBack() ? undefined : this.#options.signal;
  }

  /** Waits for one of a few places, so that a burst does not make every request of it time out. */
  async #place<T>(action: () => Promise<T>): Promise<T> {
    while (this.#underWay >= MOST_AT_ONCE) {
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve);
      });
    }
    this.#underWay++;
    try {
      return await action();
    } finally {
      this.#underWay--;
      this.#queue.shift()?.();
    }
  }

  async #send(request: ApiRequest, timeoutMs: number): Promise<HttpAnswer> {
    const signal = this.#signal;
    signal?.throwIfAborted();
    const { library, config, server } = await this.#load();
    const context = new library.RequestContext(`${server}${request.path}`, request.method);
    for (const [name, value] of Object.entries(request.query ?? {})) context.setQueryParam(name, value);
    context.setHeaderParam('Accept', 'application/json, text/plain;q=0.9');
    if (request.body !== undefined) {
      context.setHeaderParam('Content-Type', request.contentType ?? 'application/json');
      context.setBody(JSON.stringify(request.body));
    }
    const limit = AbortSignal.timeout(timeoutMs);
    context.setSignal(signal ? AbortSignal.any([signal, limit]) : limit);
    try {
      await config.applySecurityAuthentication(context);
    } catch (error) {
      throw new KubernetesError('kubeconfig', `${request.what}: no credentials: ${wordsOf(error)}`, {
        cause: error,
      });
    }
    // The library makes a new one for each request, and with it a new connection.
    this.#dispatcher ??= context.getDispatcher();
    if (this.#dispatcher) context.setDispatcher(this.#dispatcher);
    this.#requests++;
    let status: number;
    let body: string;
    try {
      const response = await new library.IsomorphicFetchHttpLibrary().send(context).toPromise();
      status = response.httpStatusCode;
      body = await response.body.text();
    } catch (error) {
      signal?.throwIfAborted();
      throw transportFailure(request.what, server, error);
    }
    // Credentials of a plugin may have run out with the certificate that the connection was made with.
    if (status === 401) this.#dispatcher = undefined;
    return { status, body };
  }

  /** @throws KubernetesError `not-found` when the cluster does not know the kind */
  async resource(apiVersion: string, kind: string): Promise<ApiResource> {
    const found = (await this.#group(apiVersion)).get(kind);
    if (found) return found;
    // It may have been installed since.
    this.#resources.delete(apiVersion);
    const now = (await this.#group(apiVersion)).get(kind);
    if (now) return now;
    throw new KubernetesError('not-found', `${this.context} knows no ${kind} of ${apiVersion}`, {
      status: 404,
    });
  }

  #group(apiVersion: string): Promise<ReadonlyMap<string, ApiResource>> {
    const known = this.#resources.get(apiVersion);
    if (known) return known;
    const asked = this.json({
      what: `read what ${this.context} knows of ${apiVersion}`,
      method: 'GET',
      path: rootOf(apiVersion),
    }).then((answer) => {
      const { resources = [] } = (answer ?? {}) as {
        resources?: { name: string; kind: string; namespaced: boolean }[];
      };
      // Names with a slash are parts of others: `pods/exec`.
      const whole = resources.filter(({ name }) => !name.includes('/'));
      return new Map(whole.map(({ kind, name, namespaced }) => [kind, { name, namespaced }] as const));
    });
    this.#resources.set(apiVersion, asked);
    asked.catch(() => this.#resources.delete(apiVersion));
    return asked;
  }

  /**
   * Runs a program in a pod to its end; its own words when it fails. It goes on running there when the time is over, so
   * let it be one that ends.
   * @returns standard output @throws KubernetesError, or Error with what the program said
   */
  exec(
    pod: PodReference,
    command: readonly string[],
    options: { readonly input?: string; readonly timeoutMs?: number } = {},
  ): Promise<string> {
    return runInPod(this.open(pod, command), command, {
      timeoutMs: EXEC_MS,
      ...options,
    });
  }

  /**
   * The same in a shell that stays in the pod: a program that runs there again and again costs a few milliseconds each time,
   * a session of its own a tenth of a second of a processor. Needs what `ShellSession` does.
   */
  async execInShell(
    pod: PodReference,
    command: Command,
    { input, timeoutMs = EXEC_MS }: { readonly input?: string; readonly timeoutMs?: number } = {},
  ): Promise<string> {
    const key = [pod.namespace, pod.name, pod.container ?? ''].join('/');
    const shell = this.#shells.get(key) ?? new ShellSession(() => this.open(pod, SHELL_SESSION));
    this.#shells.set(key, shell);
    return (await shell.run(command, { ...(input !== undefined && { input }), timeoutMs })).toString('utf8');
  }

  /**
   * A session with a program in a pod that stays: its standard input and output. It fails by its `error` event.
   * @param heartbeat written now and then, so that the program there knows that this end lives
   */
  open(pod: PodReference, command: readonly string[], heartbeat?: string): ExecStream {
    const signal = this.#signal;
    const stream = new ExecStream({
      connect: (receive) => this.#connect(pod, command, receive),
      connectMs: CONNECT_MS,
      ...(heartbeat !== undefined && { heartbeat }),
    });
    this.#sessions.add(stream);
    const end = (): void => void stream.destroy();
    signal?.addEventListener('abort', end, { once: true });
    stream.once('close', () => {
      this.#sessions.delete(stream);
      signal?.removeEventListener('abort', end);
    });
    return stream;
  }

  async #connect(
    pod: PodReference,
    command: readonly string[],
    receive: (channel: number, data: Buffer) => void,
  ): Promise<Socket> {
    this.#signal?.throwIfAborted();
    const { library, config, server } = await this.#load();
    const query = new URLSearchParams({ stdin: 'true', stdout: 'true', stderr: 'true' });
    if (pod.container !== undefined) query.set('container', pod.container);
    for (const word of command) query.append('command', word);
    const path = `/api/v1/namespaces/${encodeURIComponent(pod.namespace)}/pods/${encodeURIComponent(pod.name)}/exec`;
    this.#execs++;
    const { handler } = new library.Exec(config);
    // It would end this program's own standard output when a server closes a stream.
    Object.assign(handler, { streams: NO_STREAMS });
    const channels = (channel: number, data: Buffer): boolean => {
      receive(channel, data);
      return true;
    };
    try {
      return await handler.connect(`${path}?${query.toString()}`, null, channels);
    } catch (error) {
      const what = `exec in ${pod.namespace}/${pod.name}`;
      const refused = /Unexpected server response: (\d+)/.exec(wordsOf(error));
      if (!refused) throw transportFailure(what, server, (error as { error?: unknown }).error ?? error);
      throw await this.#whyRefused(what, path, Number(refused[1]));
    }
  }

  /** The library drops the body of a refused session: the same request, without asking for a session, brings words. */
  async #whyRefused(what: string, path: string, status: number): Promise<KubernetesError> {
    try {
      await this.text({ what, method: 'GET', path, query: { command: 'true', stdout: 'true' } });
    } catch (error) {
      if (error instanceof KubernetesError && error.status === status) return error;
    }
    return refusal(what, status, '');
  }

  /** Ends sessions; requests under way end by themselves. */
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** Where an API group lives: `/api/v1`, `/apis/apps/v1`. */
export function rootOf(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

const wordsOf = (error: unknown): string =>
  typeof (error as { message?: unknown } | null)?.message === 'string'
    ? (error as { message: string }).message
    : String(error);

/** All that is asked here may be asked twice; creating is done by apply, and so is POST left out. */
function mayPass(error: unknown, { method }: ApiRequest): boolean {
  if (method === 'POST' || !(error instanceof KubernetesError)) return false;
  const { failure, status } = error;
  if (failure === 'unreachable' || failure === 'timed-out') return true;
  return status === 401 || status === 429 || (status !== undefined && status >= 500 && status !== 501);
}
