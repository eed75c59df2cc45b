import http from 'node:http';
import type { NetNs } from '../../kernel/netns.ts';
import { listenTcp } from '../../kernel/sockets.ts';
import type { IpAddr } from '../../net/ip.ts';
import type { ServiceHealth } from '../../services/index.ts';

/** A port that somebody else has may be free again later. */
const retryMs = 10_000;

/**
 * spec.healthCheckNodePort (SD26): a load balancer asks each node, on the addresses where node ports answer, whether connections of the Service are well
 * sent to it. That the node is being deleted does not matter here: its pods are served until they go.
 */
export class HealthPorts {
  readonly #ns: NetNs | undefined;
  readonly #isHealthy: () => boolean;
  readonly #services = new Map<string, ServiceHealth>();
  /** By `ADDRESS PORT`. */
  readonly #servers = new Map<string, { server: http.Server; owner: string }>();
  readonly #refused = new Map<string, string>();
  #addresses: readonly IpAddr[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param isHealthy whether the kernel holds what Services want */
  constructor(ns: NetNs | undefined, isHealthy: () => boolean) {
    this.#ns = ns;
    this.#isHealthy = isHealthy;
  }

  /** What could not be listened on, a sentence each. */
  get problems(): string[] {
    return [...this.#refused.values()];
  }

  /** @param health none when the Service is gone, or nobody asks for it */
  set(owner: string, health: ServiceHealth | undefined): void {
    const before = this.#services.get(owner);
    if (health) this.#services.set(owner, health);
    else this.#services.delete(owner);
    if (before?.port !== health?.port || familiesOf(before) !== familiesOf(health)) this.#listen();
  }

  setAddresses(addresses: readonly IpAddr[]): void {
    if (String(addresses) === String(this.#addresses)) return;
    this.#addresses = addresses;
    this.#listen();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#services.clear();
    this.#listen();
  }

  /** Opens what is missing, and closes what nobody asks for any more. */
  #listen(): void {
    const wanted = new Map<string, { owner: string; address: IpAddr; port: number }>();
    for (const [owner, { port, localEndpoints }] of this.#services)
      for (const address of this.#addresses)
        if (localEndpoints[address.family] !== undefined) wanted.set(`${address} ${port}`, { owner, address, port });
    for (const [key, { server, owner }] of this.#servers) {
      if (wanted.get(key)?.owner === owner) continue;
      server.close();
      server.closeAllConnections();
      this.#servers.delete(key);
    }
    this.#refused.clear();
    for (const [key, { owner, address, port }] of wanted) {
      if (this.#servers.has(key)) continue;
      try {
        const server = http.createServer((_, response) => this.#answer(owner, address, response));
        server.on('error', () => {}).listen({ fd: listenTcp(this.#ns, address, port) });
        this.#servers.set(key, { server, owner });
      } catch (error) {
        this.#refused.set(key, `health checks of ${owner} cannot be answered: ${(error as Error).message}`);
      }
    }
    clearTimeout(this.#timer);
    if (this.#refused.size > 0) this.#timer = setTimeout(() => this.#listen(), retryMs).unref();
  }

  #answer(owner: string, { family }: IpAddr, response: http.ServerResponse): void {
    const health = this.#services.get(owner);
    const localEndpoints = health?.localEndpoints[family] ?? 0;
    const serviceProxyHealthy = this.#isHealthy();
    const service = { namespace: health?.namespace, name: health?.name };
    response
      .writeHead(localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
        'content-type': 'application/json',
        'x-content-type-options': 'nosniff',
        'x-load-balancing-endpoint-weight': String(localEndpoints),
      })
      .end(JSON.stringify({ service, localEndpoints, serviceProxyHealthy }));
  }
}

const familiesOf = (health: ServiceHealth | undefined): string => Object.keys(health?.localEndpoints ?? {}).sort().join();
