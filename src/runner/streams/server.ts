import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { type ContainerProcess, type ContainerRef, type StreamBackend, StreamError } from './backend.ts';
import { serveLogs } from './logs.ts';
import { portForwardProtocol, servePortForward, tunnelProtocol } from './port-forward.ts';
import { parseLogOptions, parseRequest, parseStreams, type StreamRequest } from './requests.ts';
import { holdOutput, runSession, type Session } from './session.ts';
import { spdyCommandProtocols, spdySession } from './spdy-session.ts';
import { commandProtocols, webSocketSession } from './websocket-session.ts';

/** Clients send the whole of what they have read at once, 32 KiB as a rule. */
const maxMessage = 16 * 1024 * 1024;

const list = (header: string | undefined): string[] => header?.split(',').map((text) => text.trim()) ?? [];

function failureOf(error: unknown): { code: number; message: string } {
  const message = error instanceof Error ? error.message : String(error);
  return { code: error instanceof StreamError ? error.code : 500, message };
}

/** Refuses an upgrade: an ordinary answer, which kubectl prints after "unable to upgrade connection:". */
function refuse(socket: Duplex, code: number, message: string, headers: Record<string, string> = {}): void {
  const body = Buffer.from(message);
  const lines = [
    `HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]));
}

/** Serves what a kubelet's streaming server serves: logs, exec, attach and port-forward. Paths in requests.ts, carriers in README.md. */
class StreamServer {
  readonly #backend: StreamBackend;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessage,
    perMessageDeflate: false,
    handleProtocols: (_offered, request) => (request as NegotiatedRequest).protocol ?? false,
  });

  constructor(backend: StreamBackend) {
    this.#backend = backend;
  }

  async request(target: StreamRequest, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (target.kind !== 'logs') throw new StreamError(400, 'Upgrade request required');
      if (request.method !== 'GET') throw new StreamError(405, `logs are read with GET, not ${request.method}`);
      await serveLogs(target.ref, parseLogOptions(target.query), this.#backend, response);
    } catch (error) {
      const { code, message } = failureOf(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(message);
    }
  }

  async upgrade(target: StreamRequest, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    try {
      const upgrade = request.headers.upgrade?.toLowerCase();
      if (target.kind === 'logs') throw new StreamError(400, 'logs are a plain GET');
      if (upgrade !== 'websocket' && upgrade !== 'spdy/3.1')
        throw new StreamError(400, `unable to upgrade: cannot speak "${upgrade ?? ''}"`);
      if (target.kind === 'portForward') this.#portForward(target, request, socket, head, upgrade);
      else await this.#command(target, request, socket, head, upgrade);
    } catch (error) {
      const { code, message } = failureOf(error);
      refuse(socket, code, message);
    }
  }

  async #command(
    { kind, ref, query }: StreamRequest & { kind: 'exec' | 'attach' },
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    upgrade: string,
  ): Promise<void> {
    const want = parseStreams(query);
    const command = query.getAll('command');
    if (kind === 'exec' && command.length === 0) throw new StreamError(400, 'you must specify a command');
    const protocol =
      upgrade === 'websocket'
        ? webSocketProtocol(request, commandProtocols)
        : spdyProtocol(request, socket, spdyCommandProtocols);
    if (protocol === undefined) return;
    // Started before the upgrade, so that a container that is not there is an HTTP error with kubelet's words.
    const process = holdOutput(
      await (kind === 'exec' ? this.#backend.exec(ref, command, want.tty) : this.#attach(ref, want.tty)),
    );
    // It may fail before anybody waits for it.
    process.exit.catch(() => {});
    let session: Session;
    try {
      if (upgrade === 'websocket')
        session = webSocketSession(await this.#accept(request, socket, head, protocol), protocol, want);
      else {
        acceptSpdy(socket, protocol);
        session = await spdySession(socket, head, protocol, want);
      }
    } catch {
      abandon(process);
      socket.destroy();
      return;
    }
    await runSession(session, process);
  }

  /** The end of an attachment is a success, however the container ended: kubectl reads that from the pod's status. */
  async #attach(ref: ContainerRef, tty: boolean): Promise<ContainerProcess> {
    const process = await this.#backend.attach(ref, tty);
    const { stdin, stdout, stderr, exit } = process;
    return {
      ...{ stdin, stdout, stderr, exit: exit.then(() => ({ code: 0 })) },
      resize: (columns, rows) => process.resize?.(columns, rows),
      kill: () => process.kill(),
    };
  }

  #portForward(
    target: StreamRequest & { kind: 'portForward' },
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    upgrade: string,
  ): void {
    if (upgrade === 'spdy/3.1') {
      const protocol = spdyProtocol(request, socket, [portForwardProtocol]);
      if (protocol === undefined) return;
      acceptSpdy(socket, protocol);
      void servePortForward(socket, head, target.ref, this.#backend);
      return;
    }
    const protocol = webSocketProtocol(request, [tunnelProtocol]);
    // "/" may not stand in a protocol's name (RFC 6455 4.1): ws refuses kubectl's, so it is shown another one.
    request.headers['sec-websocket-protocol'] = portForwardProtocol;
    this.#accept(request, socket, head, protocol).then(
      (webSocket) => servePortForward(createWebSocketStream(webSocket), Buffer.alloc(0), target.ref, this.#backend),
      () => socket.destroy(),
    );
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer, protocol: string): Promise<WebSocket> {
    (request as NegotiatedRequest).protocol = protocol;
    return new Promise((resolve, reject) => {
      socket.once('close', () => reject(new Error('the client has gone')));
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => resolve(webSocket));
    });
  }
}

interface NegotiatedRequest extends IncomingMessage {
  protocol?: string;
}

/** The client's process has no client any more: ended, and its output dropped so that it can. */
function abandon(process: ContainerProcess): void {
  process.kill();
  for (const stream of [process.stdout, process.stderr]) stream?.on('error', () => {}).resume();
  process.stdin?.on('error', () => {}).end();
  process.exit.catch(() => {});
}

/** @throws StreamError 400 when the client speaks none of ours: kubectl then tries SPDY. */
function webSocketProtocol(request: IncomingMessage, ours: readonly string[]): string {
  const offered = list(request.headers['sec-websocket-protocol']);
  if (offered.length === 0 && ours === commandProtocols) return '';
  const protocol = ours.find((name) => offered.includes(name));
  if (protocol === undefined)
    throw new StreamError(400, `none of the protocols ${offered.join(', ')} is supported; supported: ${ours.join(', ')}`);
  return protocol;
}

/** Undefined: refused, and the client told what is supported. */
function spdyProtocol(request: IncomingMessage, socket: Duplex, ours: readonly string[]): string | undefined {
  const offered = list(request.headersDistinct['x-stream-protocol-version']?.join(','));
  if (offered.length === 0) return ours.at(-1);
  const protocol = ours.find((name) => offered.includes(name));
  if (protocol === undefined)
    refuse(
      socket,
      403,
      `unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${ours.join(' ')}]`,
      {
        'X-Accepted-Stream-Protocol-Versions': ours.join(', '),
      },
    );
  return protocol;
}

function acceptSpdy(socket: Duplex, protocol: string): void {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    `X-Stream-Protocol-Version: ${protocol}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
}

/** True: the URL is one of the streaming server's; otherwise the caller answers it. */
export type StreamHandlers = {
  request(request: IncomingMessage, response: ServerResponse): boolean;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
};

/** For a server with other paths too: call both from its own listeners. */
export function streamHandlers(backend: StreamBackend): StreamHandlers {
  const streams = new StreamServer(backend);
  return {
    request(request, response) {
      try {
        const target = parseRequest(request.url ?? '/');
        if (target) void streams.request(target, request, response);
        return target !== undefined;
      } catch (error) {
        const { code, message } = failureOf(error);
        response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(message);
        return true;
      }
    },
    upgrade(request, socket, head) {
      socket.on('error', () => {});
      try {
        const target = parseRequest(request.url ?? '/');
        if (target) void streams.upgrade(target, request, socket, head);
        return target !== undefined;
      } catch (error) {
        const { code, message } = failureOf(error);
        refuse(socket, code, message);
        return true;
      }
    },
  };
}

/** Makes `server` a streaming server, for all its paths: what is not one of its own is answered with 404. */
export function attachStreams(server: Server, backend: StreamBackend): void {
  const handlers = streamHandlers(backend);
  server.on('request', (request, response) => {
    if (!handlers.request(request, response)) response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found');
  });
  server.on('upgrade', (request, socket, head) => {
    if (!handlers.upgrade(request, socket, head)) refuse(socket, 404, '404 page not found');
  });
}
