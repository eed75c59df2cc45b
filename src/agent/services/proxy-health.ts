import http from 'node:http';
import type { NetNs } from '../../kernel/netns.ts';
import { listenTcp } from '../../kernel/sockets.ts';
import { type Family, IpAddr } from '../../net/ip.ts';

/** Twice the time between two full checks: a change that waits longer is stuck. */
const staleMs = 60_000;

/** Whether changes reach the kernel in time (SD27). */
export class SyncHealth {
  readonly #now: () => number;
  /** Since when something waits to be written. */
  #waitingSince: number | undefined;
  #lastDone: number | undefined;

  /** @param now monotonic, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#waitingSince = now();
  }

  queued(): void {
    this.#waitingSince ??= this.#now();
  }

  /** All that waited was written, or refused by the kernel: what one object asks for must not make the node look ill. */
  done(): void {
    this.#waitingSince = undefined;
    this.#lastDone = this.#now();
  }

  get isHealthy(): boolean {
    return this.#waitingSince === undefined || this.#now() - this.#waitingSince < staleMs;
  }

  /** Milliseconds since all was written; undefined when it never was. */
  get sinceDone(): number | undefined {
    return this.#lastDone === undefined ? undefined : this.#now() - this.#lastDone;
  }
}

export interface ProxyHealthOptions {
  ns: NetNs | undefined;
  families: readonly Family[];
  port: number;
  health: SyncHealth;
  /** Load balancers should send it nothing new: the Node is being deleted. */
  isLeaving: () => boolean;
}

/**
 * `/healthz` for load balancers (externalTrafficPolicy Cluster) and `/livez` for probes, as kube-proxy answers them: the first also tells that the Node is being
 * deleted, which is no reason to restart anybody.
 * @throws KernelError when the port is somebody else's; nothing is left open then
 */
function serveProxyHealth({ ns, families, port, health, isLeaving }: ProxyHealthOptions): Disposable {
  const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const path = (request.url ?? '').split('?')[0];
    if (path !== '/healthz' && path !== '/livez') return void response.writeHead(404).end('ask for /healthz or /livez\n');
    const nodeEligible = !isLeaving();
    const currentTime = new Date();
    const lastUpdated = new Date(currentTime.getTime() - Math.round(health.sinceDone ?? 0));
    const good = health.isHealthy && (path === '/livez' || nodeEligible);
    response
      .writeHead(good ? 200 : 503, { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' })
      .end(JSON.stringify({ lastUpdated, currentTime, ...(path === '/healthz' ? { nodeEligible } : {}) }));
  };
  const servers: http.Server[] = [];
  const close = (): void => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  };
  try {
    for (const family of families) {
      const fd = listenTcp(ns, IpAddr.unspecified(family), port);
      servers.push(
        http
          .createServer(answer)
          .on('error', () => {})
          .listen({ fd }),
      );
    }
  } catch (error) {
    close();
    throw error;
  }
  return { [Symbol.dispose]: close };
}

/** Serves it as long as the agent lives. Somebody else's port (kube-proxy's, while it still runs) is told of, and no reason to end. */
export class ProxyHealth implements Disposable {
  #server: Disposable | undefined;
  #problem: string | undefined;

  /** @param options.port 0 for none */
  start(options: ProxyHealthOptions): void {
    if (options.port === 0) return;
    try {
      this.#server = serveProxyHealth(options);
    } catch (error) {
      this.#problem = `/healthz for load balancers cannot be served: ${(error as Error).message}`;
    }
  }

  get problems(): string[] {
    return this.#problem === undefined ? [] : [this.#problem];
  }

  [Symbol.dispose](): void {
    this.#server?.[Symbol.dispose]();
  }
}
