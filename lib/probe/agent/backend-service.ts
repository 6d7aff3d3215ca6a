/** The HTTP service of a backend, and how it is drained: in a process of its own, or inside the agent. */
import type { Server } from 'node:http';
import type { Identity } from '../../model/workload.ts';
import { createHttpServer, httpHandler } from './http-target.ts';

/** While draining: it ends when no request has come for this long, at the latest after the second figure. */
const IDLE_MS = 1_000;
const LONGEST_DRAIN_MS = 15_000;
const DRAIN_CHECK_MS = 100;

export class BackendService {
  readonly #server: Server;
  readonly #onEnd: () => void;
  #state: 'serving' | 'draining' | 'failing' = 'serving';
  #underWay = 0;
  #lastActivity = 0;
  #draining: NodeJS.Timeout | undefined;

  /** @param onEnd called when it has been drained: its connections end with it */
  constructor(identity: Identity, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#server = createHttpServer(
      httpHandler({
        identity,
        state: () => this.#state,
        onReceipt: () => {},
        onActivity: (change) => {
          this.#underWay += change;
          this.#lastActivity = performance.now();
        },
      }),
    );
  }

  /** @throws the system's error when the port is taken */
  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      // Without a host it takes both families, or IPv4 alone where the kernel has no IPv6.
      this.#server.listen({ port, backlog: 1_024 }, () => {
        this.#server.off('error', reject).on('error', () => {});
        resolve();
      });
    });
  }

  fail(): void {
    this.#state = 'failing';
  }

  drain(): void {
    if (this.#draining) return;
    this.#state = 'draining';
    const startedAt = performance.now();
    this.#lastActivity = startedAt;
    this.#draining = setInterval(() => {
      const now = performance.now();
      const idle = this.#underWay === 0 && now - this.#lastActivity > IDLE_MS;
      if (!idle && now - startedAt <= LONGEST_DRAIN_MS) return;
      void this.close();
      this.#onEnd();
    }, DRAIN_CHECK_MS);
  }

  /** Resolves when the port is free again. */
  close(): Promise<void> {
    clearInterval(this.#draining);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
