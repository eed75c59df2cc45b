import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Api, ApiError, type DeleteOptions, type KubeObject, type PatchType, type Resource, type WatchEvent, type WatchOptions } from './api.ts';
import { allResources, apiVersionOf } from './resources.ts';

/** What a test does to the bytes of a watch: gives what is written instead, or cuts the connection. */
export type Fault = (line: string) => string | 'cut';

/**
 * An `Api` over HTTP on loopback, as kube-apiserver speaks it, with TLS when asked: so that KubeClient meets real sockets, chunks and cut connections.
 * For tests.
 */
export class FakeServer implements AsyncDisposable {
  readonly #server: http.Server | https.Server;
  readonly #watches = new Set<http.ServerResponse>();
  /** Applied to every line of every watch. */
  fault: Fault = (line) => line;
  requests = 0;

  readonly #scheme: string;

  private constructor(api: Api, tls?: https.ServerOptions) {
    this.#scheme = tls ? 'https' : 'http';
    const listener: http.RequestListener = (request, response) => {
      this.requests++;
      this.#serve(api, request, response).catch((error: unknown) => {
        const { code, reason, message, details } =
          error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error));
        response.writeHead(code, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details }));
      });
    };
    this.#server = tls ? https.createServer(tls, listener) : http.createServer(listener);
  }

  /** @param fd of a listening socket, e.g. of another network namespace; owned from now on */
  static async listen(api: Api, tls?: https.ServerOptions, fd?: number): Promise<FakeServer> {
    const server = new FakeServer(api, tls);
    const where = fd === undefined ? { port: 0, host: '127.0.0.1' } : { fd };
    await new Promise<void>((resolve) => server.#server.listen(where, resolve));
    return server;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets the connections of all watches. */
  cutWatches(): void {
    for (const response of this.#watches) cut(response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(api: Api, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const path =
      /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+)(?=\/[a-z]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/;
    const [, group = '', version, namespace, plural, name, subresource] = path.exec(url.pathname) ?? [];
    const found = allResources.find(
      (one) => one.plural === plural && apiVersionOf(one) === (group ? `${group}/${version}` : version),
    );
    if (!found) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    const query = Object.fromEntries(url.searchParams) as Record<string, string>;
    const options = { namespace, ...query, limit: Number(query.limit ?? 0) || undefined };
    if (query.watch) {
      this.#watch(api, found, response, {
        ...options,
        timeoutSeconds: Number(query.timeoutSeconds ?? 0),
        sendInitialEvents: query.sendInitialEvents === 'true',
        allowWatchBookmarks: query.allowWatchBookmarks === 'true',
      });
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = chunks.length > 0 ? (JSON.parse(Buffer.concat(chunks).toString()) as KubeObject) : undefined;
    const write = {
      subresource: subresource as 'status' | undefined,
      fieldManager: query.fieldManager,
      dryRun: query.dryRun === 'All',
    };
    const patchType = /application\/(merge|strategic-merge|json|apply)-patch/.exec(request.headers['content-type'] ?? '')?.[1];
    let answer: unknown = { kind: 'Status', status: 'Success' };
    if (request.method === 'GET' && !name) answer = { ...kindOf(found, 'List'), ...(await api.list(found, options)) };
    else if (request.method === 'GET') answer = withKind(found, await api.get(found, name!, namespace));
    else if (request.method === 'POST') answer = withKind(found, await api.create(found, body!, write));
    else if (request.method === 'PUT') answer = withKind(found, await api.update(found, body!, write));
    else if (request.method === 'PATCH') answer = withKind(found, await api.patch(found, name!, namespace, body, patchType as PatchType, write));
    else await api.delete(found, name!, namespace, body as DeleteOptions | undefined);
    response.writeHead(request.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  }

  #watch(
    api: Api,
    resource: (typeof allResources)[number],
    response: http.ServerResponse,
    options: Omit<WatchOptions, 'onEnd'>,
  ): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    this.#watches.add(response);
    const send = (event: unknown): void => {
      const line = this.fault(JSON.stringify(event));
      if (line === 'cut') cut(response);
      else response.write(`${line}\n`);
    };
    const told = ({ type, object }: WatchEvent<KubeObject>): void => send({ type, object: withKind(resource, object) });
    const watch = api.watch(resource, told, {
      ...options,
      onEnd: (error) => {
        if (error instanceof ApiError)
          send({ type: 'ERROR', object: { kind: 'Status', code: error.code, reason: error.reason, message: error.message } });
        response.end();
      },
    });
    response.on('close', () => {
      this.#watches.delete(response);
      watch.close();
    });
  }
}

const kindOf = (resource: Resource, suffix = ''): object => ({ kind: `${resource.kind}${suffix}`, apiVersion: apiVersionOf(resource) });

/** Clients in Go read no object of a watch that does not say what it is. */
const withKind = (resource: Resource, object: KubeObject): object => ({ ...kindOf(resource), ...object });

/** By a reset; TLS sockets of Node know only to close without TLS's own farewell. */
function cut({ socket }: http.ServerResponse): void {
  if (socket && 'encrypted' in socket) socket.destroy();
  else socket?.resetAndDestroy();
}
