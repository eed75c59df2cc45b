import * as http from 'node:http';
import * as https from 'node:https';
import { createSecureContext } from 'node:tls';
import {
  type Api,
  ApiError,
  type DeleteOptions,
  type KubeObject,
  type List,
  type ListOptions,
  type PatchType,
  type Resource,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from './api.ts';
import { type Connection, inCluster, loadKubeconfig, type Trust } from './kubeconfig.ts';
import { LineSplitter } from './lines.ts';
import { apiVersionOf, resourcePath } from './resources.ts';
import type { Status } from './types.ts';

export interface ClientOptions {
  /** Shows in the server's managedFields and audit. */
  userAgent?: string;
  /** A request without an answer for so long fails. Watches have their own. */
  timeoutMs?: number;
  /** A watch without a byte for so long is dead, however alive its TCP connection looks. Bookmarks come about each minute. */
  watchIdleMs?: number;
}

/** Requests beyond these wait: a burst is answered sooner by a few connections than by a TLS handshake for each. */
const maxConnections = 8;

/** After so long without a byte the kernel asks the other end, and ten seconds later a connection that swallows everything is dead (F15). */
const keepAliveMs = 30_000;
/** The kernel would try for two minutes, ever more rarely. */
const connectMs = 10_000;

/** Requests, and watches, which hold their connection: they must not take the place of requests. */
interface Agents {
  requests: http.Agent;
  watches: http.Agent;
}

/** All connections share one TLS context: to parse key and certificates for each costs more than the request. */
function agentsOf(protocol: string, connection: Connection, trust: Trust): Agents {
  const make = agentMaker(protocol, connection, trust);
  return { requests: make({ keepAlive: true, maxSockets: maxConnections }), watches: make({ keepAlive: true }) };
}

function agentMaker(protocol: string, connection: Connection, trust: Trust): (options: http.AgentOptions) => http.Agent {
  if (protocol === 'http:') return (options) => new http.Agent(options);
  const { serverName: servername, insecure } = connection;
  const { ca, certificate: cert, key } = trust;
  const tls = { secureContext: createSecureContext({ ca, cert, key }), servername, rejectUnauthorized: !insecure };
  return (options) => new https.Agent({ ...options, ...tls });
}

type Query = Record<string, string | number | boolean | undefined>;

const patchTypes: Record<PatchType, string> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

/**
 * The API of a real kube-apiserver, or the embedded one over TLS: HTTP/1.1 with keep-alive, JSON. Sockets belong to the network
 * namespace that the process runs in.
 */
export class KubeClient implements Api, Disposable {
  readonly #connection: Connection;
  readonly #options: Required<ClientOptions>;
  readonly #base: URL;
  #trust: Trust;
  #agents: Agents;
  /** Of credentials before these: for what still goes on by them. */
  readonly #former: http.Agent[] = [];

  constructor(connection: Connection, options: ClientOptions = {}) {
    this.#connection = connection;
    this.#options = { userAgent: 'podnet', timeoutMs: 60_000, watchIdleMs: 180_000, ...options };
    this.#base = new URL(connection.server);
    this.#trust = connection.trust?.() ?? connection;
    this.#agents = agentsOf(this.#base.protocol, connection, this.#trust);
  }

  /** @throws KubeconfigError */
  static fromKubeconfig(path: string, options?: ClientOptions & { context?: string }): KubeClient {
    return new KubeClient(loadKubeconfig(path, options?.context), options);
  }

  /** With the service account of the pod that this process runs in. @throws KubeconfigError */
  static inCluster(options?: ClientOptions): KubeClient {
    return new KubeClient(inCluster(), options);
  }

  /** Closes all connections, also running watches. */
  [Symbol.dispose](): void {
    for (const agent of [...Object.values(this.#agents), ...this.#former]) (agent as http.Agent).destroy();
  }

  get<T extends KubeObject>(resource: Resource<T>, name: string, namespace?: string): Promise<T> {
    return this.request<T>('GET', resourcePath(resource, namespace, name));
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<List<T>> {
    const { namespace, ...query } = options;
    const list = await this.request<List<T>>('GET', resourcePath(resource, namespace), { ...query });
    return { ...list, items: list.items ?? [] };
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { name, namespace } = object.metadata;
    const path = resourcePath(resource, namespace, options.subresource && name, options.subresource);
    return this.request<T>('POST', path, writeQuery(options), withType(resource, object));
  }

  update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const path = resourcePath(resource, object.metadata.namespace, object.metadata.name, options.subresource);
    return this.request<T>('PUT', path, writeQuery(options), withType(resource, object));
  }

  patch<T extends KubeObject>(
    resource: Resource<T>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    type: PatchType,
    options: WriteOptions & { force?: boolean } = {},
  ): Promise<T> {
    const path = resourcePath(resource, namespace, name, options.subresource);
    const query: Query = { ...writeQuery(options), force: options.force };
    if (type === 'apply') query.fieldManager ??= this.#options.userAgent;
    return this.request<T>('PATCH', path, query, patch, patchTypes[type]);
  }

  async delete(resource: Resource, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...options };
    await this.request('DELETE', resourcePath(resource, namespace, name), {}, body);
  }

  watch<T extends KubeObject>(
    resource: Resource<T>,
    onEvent: (event: WatchEvent<T>) => void,
    options: WatchOptions,
  ): { close(): void } {
    const { namespace, onEnd, ...rest } = options;
    const query: Query = { watch: 1, ...rest };
    if (options.sendInitialEvents !== undefined) query.resourceVersionMatch = 'NotOlderThan';
    const path = resourcePath(resource, namespace);
    let over = false;
    const end = (error?: Error): void => {
      if (over) return;
      over = true;
      request?.destroy();
      onEnd(error);
    };
    const lines = new LineSplitter((line) => {
      if (over || line.length === 0) return;
      let event: WatchEvent<T>;
      try {
        event = JSON.parse(line.toString('utf8')) as WatchEvent<T>;
      } catch (cause) {
        end(new Error(`watch ${path}: the server sent what is not JSON: ${line.subarray(0, 80).toString()}`, { cause }));
        return;
      }
      if (event.type === 'ERROR') end(statusError(0, event.object as unknown as Status, `watch ${path}`));
      else onEvent(event);
    });
    let request: http.ClientRequest | undefined;
    try {
      request = this.#open('GET', path, query, {}, 'watches');
    } catch (error) {
      queueMicrotask(() => end(error as Error));
      return { close: () => void (over = true) };
    }
    const { timeoutMs, watchIdleMs } = this.#options;
    let patienceMs = Math.min(timeoutMs, watchIdleMs);
    request.setTimeout(patienceMs, () => end(new Error(`watch ${path}: not a byte for ${patienceMs / 1000} s`)));
    request.on('error', (cause) => end(new Error(`watch ${path}: ${reasonOf(cause)}`, { cause })));
    request.on('response', (response) => {
      patienceMs = watchIdleMs;
      request!.setTimeout(watchIdleMs);
      response.on('error', (cause) => end(new Error(`watch ${path}: ${reasonOf(cause)}`, { cause })));
      if (response.statusCode !== 200) {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => end(answerError(response.statusCode ?? 0, Buffer.concat(chunks), `watch ${path}`)));
        return;
      }
      response.on('data', (chunk: Buffer) => over || lines.write(chunk));
      response.on('end', () =>
        end(lines.pendingBytes > 0 ? new Error(`watch ${path}: the stream ended within an event`) : undefined),
      );
    });
    request.end();
    return {
      close: () => {
        over = true;
        request.destroy();
      },
    };
  }

  /**
   * Any request, for what `Api` does not name (`/version`, logs). A GET on a kept connection that the server closed meanwhile is sent once more.
   * @throws ApiError when the server refuses, Error when it cannot be reached
   */
  async request<T>(
    method: string,
    path: string,
    query: Query = {},
    body?: unknown,
    contentType = 'application/json',
  ): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#roundTrip(method, path, query, body, contentType).catch((error: unknown) => {
        if (attempt === 0 && method === 'GET' && error instanceof StaleConnection) return undefined;
        throw error;
      });
      if (!answer) continue;
      if (answer.code >= 200 && answer.code < 300) return JSON.parse(answer.body.toString('utf8')) as T;
      // 429 and 503 with Retry-After: the server asks to wait (priority and fairness, a start-up).
      if (answer.retryAfterMs === undefined || attempt >= 3) throw answerError(answer.code, answer.body, `${method} ${path}`);
      await new Promise((resolve) => setTimeout(resolve, answer.retryAfterMs));
    }
  }

  #roundTrip(method: string, path: string, query: Query, body: unknown, contentType: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      const headers = bytes ? { 'content-type': contentType, 'content-length': bytes.length } : {};
      const request = this.#open(method, path, query, headers);
      const fail = (cause: NodeJS.ErrnoException): void => {
        const stale = request.reusedSocket && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
        const message = `${method} ${this.#base.origin}${path}: ${reasonOf(cause)}`;
        reject(stale ? new StaleConnection(message, { cause }) : new Error(message, { cause }));
      };
      request.setTimeout(this.#options.timeoutMs, () =>
        request.destroy(new Error(`no answer within ${this.#options.timeoutMs / 1000} s`)),
      );
      request.on('error', fail);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('end', () => {
          const code = response.statusCode ?? 0;
          const after = Number(response.headers['retry-after']);
          const retry = (code === 429 || code === 503) && after >= 0 ? { retryAfterMs: Math.min(after, 30) * 1000 } : {};
          resolve({ code, body: Buffer.concat(chunks), ...retry });
        });
      });
      request.end(bytes);
    });
  }

  #open(method: string, path: string, query: Query, headers: http.OutgoingHttpHeaders = {}, by: keyof Agents = 'requests'): http.ClientRequest {
    this.#renew();
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(name, String(value));
    const prefix = this.#base.pathname.replace(/\/$/, '');
    const token = this.#connection.token?.();
    const open = this.#base.protocol === 'http:' ? http.request : https.request;
    const request = open({
      agent: this.#agents[by],
      host: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port || (this.#base.protocol === 'http:' ? 80 : 443),
      method,
      path: `${prefix}${path}${search.size > 0 ? `?${search}` : ''}`,
      headers: {
        accept: 'application/json',
        'user-agent': this.#options.userAgent,
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...headers,
      },
    });
    request.on('socket', (socket) => {
      // Agents set it for connections without TLS only.
      socket.setKeepAlive(true, keepAliveMs);
      if (!socket.connecting) return;
      const limitMs = Math.min(connectMs, this.#options.timeoutMs);
      const late = setTimeout(() => request.destroy(new Error(`no connection within ${limitMs / 1000} s`)), limitMs);
      for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(late));
    });
    return request;
  }

  /** Credentials that were rotated are used by whatever is asked from then on; what goes on by the former ones ends by itself (F17). */
  #renew(): void {
    const { ca, certificate, key } = this.#connection.trust?.() ?? this.#trust;
    if (ca === this.#trust.ca && certificate === this.#trust.certificate && key === this.#trust.key) return;
    let agents: Agents;
    try {
      agents = agentsOf(this.#base.protocol, this.#connection, { ca, certificate, key });
    } catch {
      // Half of a rotation, as a certificate without its key: those of before until the rest is there.
      return;
    }
    for (const agent of Object.values(this.#agents) as http.Agent[]) {
      agent.maxFreeSockets = 0;
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
      this.#former.push(agent);
    }
    // A rotation or two: what went on by the credentials before has ended.
    for (const agent of this.#former.splice(0, Math.max(0, this.#former.length - 4))) agent.destroy();
    this.#trust = { ca, certificate, key };
    this.#agents = agents;
  }
}

interface Answer {
  code: number;
  body: Buffer;
  retryAfterMs?: number;
}

class StaleConnection extends Error {}

/** Some of Node's errors (AggregateError of a dual-stack connect) have an empty message. */
const reasonOf = (error: NodeJS.ErrnoException): string => error.message || error.code || error.name;

const writeQuery = (options: WriteOptions): Query => ({
  fieldManager: options.fieldManager,
  dryRun: options.dryRun ? 'All' : undefined,
});

/** Objects of lists carry neither; the server wants both. A subresource's own kind (Binding, Scale) is kept. */
const withType = <T extends KubeObject>(resource: Resource<T>, object: T): T => ({
  ...object,
  apiVersion: object.apiVersion ?? apiVersionOf(resource),
  kind: object.kind ?? resource.kind,
});

function answerError(code: number, body: Buffer, what: string): ApiError {
  const text = body.toString('utf8');
  try {
    const status = JSON.parse(text) as Status;
    if (status.kind === 'Status') return statusError(code, status, what);
  } catch {
    // Not a Status: a proxy's page, or plain text of the TLS layer.
  }
  return new ApiError(code, 'Unknown', `${what}: the server answered ${code}: ${text.trim().slice(0, 200)}`);
}

const statusError = (code: number, status: Status, what: string): ApiError =>
  new ApiError(
    status.code ?? code,
    status.reason ?? 'Unknown',
    status.message || `${what}: the server answered ${status.code ?? code}`,
    status.details,
  );
