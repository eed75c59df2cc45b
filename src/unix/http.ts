import { once } from 'node:events';
import http from 'node:http';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { listenForRoot } from './listen.ts';

/** Text goes as it is, anything else as JSON. */
export interface Answer {
  code?: number;
  body: unknown;
}

/** An answer without an end: lines of JSON, for as long as the asker stays. It closes `out` when it goes. */
export interface StreamAnswer {
  stream: (out: Writable) => void;
}

/** @param below what stands behind a path that ends with `/`, decoded; else '' */
export type Answerer = (below: string) => Answer | StreamAnswer | Promise<Answer | StreamAnswer>;

/**
 * Answers GET by path on a unix socket for root. A path that ends with `/` is for all below it. What its function throws is answered as 500.
 * @param socket its path; or a socket that listens already, which is closed at the end and whose file is the caller's
 */
export async function serveHttp(
  socket: string | { fd: number },
  paths: Readonly<Record<string, Answerer>>,
  options?: { takeOver?: boolean },
): Promise<AsyncDisposable> {
  const server = http.createServer(async (request, response) => {
    const answer = await answerOf(paths, request.url ?? '');
    if ('stream' in answer) {
      response.writeHead(200, { 'content-type': 'application/x-ndjson', connection: 'close' });
      // So that the asker knows at once that it is heard.
      response.flushHeaders();
      return answer.stream(response);
    }
    const { code, body } = answer;
    const isText = typeof body === 'string';
    const headers = { 'content-type': isText ? 'text/plain' : 'application/json', connection: 'close' };
    response.writeHead(code ?? 200, headers).end(`${isText ? body : JSON.stringify(body, undefined, 2)}\n`);
  });
  if (typeof socket === 'string') await listenForRoot(server, socket, options);
  else {
    server.listen(socket);
    await once(server, 'listening');
  }
  // One that never asked anything is none of those that node closes, in some of its versions.
  const connections = new Set<Socket>();
  server.on('connection', (connection) => {
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
  });
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      for (const connection of connections) connection.destroy();
      await closed;
    },
  };
}

async function answerOf(paths: Readonly<Record<string, Answerer>>, url: string): Promise<Answer | StreamAnswer> {
  const path = Object.hasOwn(paths, url) ? url : Object.keys(paths).find((one) => one.endsWith('/') && url.startsWith(one));
  if (path === undefined) return { code: 404, body: `ask for one of ${Object.keys(paths).join(', ')}` };
  try {
    return await paths[path]!(decodeURIComponent(url.slice(path.length)));
  } catch (error) {
    return { code: 500, body: (error as Error).message };
  }
}

/** An answer other than 200. */
export class AnswerError extends Error {
  readonly code: number;
  /** The answer's own text. */
  readonly said: string;

  constructor(message: string, code: number, said = '') {
    super(message);
    this.name = 'AnswerError';
    this.code = code;
    this.said = said.trim();
  }
}

/** @throws AnswerError when it is not 200; Error that says which socket does not answer, or not with JSON */
export function getJson<T>(socketPath: string, path: string, timeoutMs = 5000): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${socketPath} ${why}`));
    const call = http.request({ socketPath, path, agent: false, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        const { statusCode = 0 } = response;
        if (statusCode !== 200)
          return reject(new AnswerError(`${socketPath} answers ${statusCode}: ${text.slice(0, 200)}`, statusCode, text));
        try {
          resolve(JSON.parse(text) as T);
        } catch {
          fail(`answers what is no JSON: ${text.slice(0, 200)}`);
        }
      });
      // Without a listener an answer that breaks off ends in nothing at all: neither in `end` nor in an error of the call.
      response.on('error', (error) => fail(`broke its answer off: ${error.message}`));
    });
    call.on('timeout', () => call.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    call.on('error', (error) => fail(`does not answer: ${error.message}`));
    call.end();
  });
}

/**
 * Hears a stream of lines of JSON, until it ends or `signal` says so.
 * @throws AnswerError when the answer is not 200; Error that says which socket does not answer
 */
export function readLines<T>(socketPath: string, path: string, onLine: (line: T) => void, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = http.request({ socketPath, path, agent: false, signal }, (response) => {
      const { statusCode = 0 } = response;
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        rest += part;
        if (statusCode !== 200) return;
        const lines = rest.split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line !== '') onLine(JSON.parse(line) as T);
      });
      response.on('close', () => {
        if (statusCode === 200) resolve();
        else reject(new AnswerError(`${socketPath} answers ${statusCode}: ${rest.slice(0, 200)}`, statusCode));
      });
      response.on('error', () => resolve());
    });
    call.on('error', (error) => (signal?.aborted ? resolve() : reject(new Error(`${socketPath} does not answer: ${error.message}`))));
    call.end();
  });
}
