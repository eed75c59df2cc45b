import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from '../../kube/api.ts';
import type { Pod } from '../../kube/types.ts';
import { refusal } from '../auth/authorize.ts';
import type { Context } from '../context.ts';
import { badRequest, unauthorized } from '../errors.ts';
import { as } from '../object.ts';
import { isStream, locate } from '../subresources/streams.ts';
import { forwardUpgrade, refuseUpgrade } from './node-streams.ts';
import { handleOther } from './other-handler.ts';
import { authorize, handleResource, resourceOf, verbOf } from './resource-handler.ts';
import { type Answer, asApiError, sendError } from './respond.ts';
import { parseRoute, type Route } from './route.ts';

interface Target {
  route: Route;
  query: URLSearchParams;
}

function targetOf(request: IncomingMessage): Target {
  try {
    const url = new URL(request.url ?? '/', 'https://api');
    return { route: parseRoute(url.pathname), query: url.searchParams };
  } catch {
    throw badRequest(`the URL ${JSON.stringify(request.url)} is malformed`);
  }
}

/** Health is told to whoever asks; everything else needs a name. */
const isPublic = ({ route }: Target): boolean => route.kind === 'other' && /^\/(healthz|livez|readyz)\b/.test(route.path);

/** Answers HTTP requests: who asks, what for, whether they may, and then the handler of the path. */
export class Front {
  readonly #context: Context;
  readonly #sockets = new Set<Duplex>();

  constructor(context: Context) {
    this.#context = context;
  }

  attach(server: Server): void {
    server.on('request', (request, response) => void this.#request(request, response));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head));
    // Bodies and streams are bounded by their own rules; watches last long.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 65_000;
  }

  /** Cuts streams that an HTTP server no longer knows as its own. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer: Answer = { response, warnings: [] };
    try {
      const target = targetOf(request);
      const { route, query } = target;
      const user = this.#context.authenticator.authenticate(request);
      if (!user) {
        if (!isPublic(target)) throw unauthorized();
        return handleOther(this.#context, answer, request, (route as { path: string }).path, query);
      }
      if (route.kind === 'resource') return await handleResource(this.#context, answer, request, route, query, user);
      const action = { verb: (request.method ?? 'GET').toLowerCase(), path: route.path };
      if (!isPublic(target) && !this.#context.authorizer.allows(user, action))
        throw new ApiError(403, 'Forbidden', `forbidden: ${refusal(user, action)}`);
      handleOther(this.#context, answer, request, route.path, query);
    } catch (error) {
      sendError(answer, error, this.#context.log);
    } finally {
      // What was not read of a body would be taken for the next request.
      if (!request.readableEnded) request.resume();
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const context = this.#context;
    try {
      const { route, query } = targetOf(request);
      const user = context.authenticator.authenticate(request);
      if (!user) throw unauthorized();
      if (route.kind !== 'resource' || !isStream(route.subresource) || route.subresource === 'log')
        throw badRequest('only exec, attach and portforward of pods can be upgraded');
      const resource = resourceOf(route);
      const verb = verbOf(request.method ?? 'GET', true, query) === 'create' ? 'create' : 'get';
      authorize(context, user, resource, route, verb);
      const pod = as<Pod>(context.registry.get(resource, route.namespace, route.name!).object);
      const { node, path } = locate(pod, route.subresource, query);
      await forwardUpgrade(request, socket, head, context.dialNode, node!, path);
    } catch (error) {
      refuseUpgrade(socket, asApiError(error, context.log));
    }
  }
}
