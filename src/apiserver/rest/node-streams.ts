import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from '../../kube/api.ts';
import { toStatus } from '../errors.ts';
import type { Answer } from './respond.ts';

/** Opens a connection to a node's runner. */
export type DialNode = (node: string) => Promise<Duplex>;

const cannotDial = (error: unknown): ApiError => {
  const message = `error dialing backend: ${(error as Error).message}`;
  return new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
};

const reasons: Record<number, string> = {
  400: 'BadRequest',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  500: 'InternalError',
  503: 'ServiceUnavailable',
};

/** Logs: what the runner answers goes to the client as it comes. */
export async function forwardLogs(answer: Answer, dial: DialNode, node: string, path: string): Promise<void> {
  const socket = await dial(node).catch((error: unknown) => {
    throw cannotDial(error);
  });
  const { response } = answer;
  await new Promise<void>((resolve, reject) => {
    const upstream: ClientRequest = httpRequest({
      createConnection: () => socket as never,
      path,
      headers: { host: node, connection: 'close' },
    });
    const stop = (): void => {
      upstream.destroy();
      socket.destroy();
      resolve();
    };
    response.on('close', stop);
    upstream.on('error', (error) => (response.headersSent ? stop() : reject(cannotDial(error))));
    upstream.on('response', (from) => {
      const code = from.statusCode ?? 500;
      if (code >= 400) {
        readText(from).then(
          (text) => reject(new ApiError(code, reasons[code] ?? 'Unknown', text.trim() || `the node answered ${code}`)),
          reject,
        );
        return;
      }
      response.writeHead(code, { 'content-type': from.headers['content-type'] ?? 'text/plain' });
      response.flushHeaders();
      from.on('error', stop);
      from.on('end', resolve);
      from.pipe(response);
    });
    upstream.end();
  });
}

async function readText(from: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of from) {
    text += String(chunk);
    if (text.length > 64 * 1024) break;
  }
  return text;
}

/** exec, attach, portforward: the client's request goes to the runner as it came, but for the path; then bytes go both ways. */
export async function forwardUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  dial: DialNode,
  node: string,
  path: string,
): Promise<void> {
  const socket = await dial(node).catch((error: unknown) => {
    throw cannotDial(error);
  });
  const lines = [`${request.method} ${path} HTTP/1.1`];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    // Credentials are for this server alone.
    if (request.rawHeaders[at]!.toLowerCase() !== 'authorization')
      lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
  }
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (head.length > 0) socket.write(head);
  const end = (): void => {
    client.destroy();
    socket.destroy();
  };
  client.on('error', end);
  socket.on('error', end);
  client.on('close', () => socket.destroy());
  socket.on('close', () => client.destroy());
  client.pipe(socket);
  socket.pipe(client);
}

/** An error before the upgrade, as plain HTTP. */
export function refuseUpgrade(client: Duplex, error: ApiError): void {
  const body = Buffer.from(JSON.stringify(toStatus(error)));
  client.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
