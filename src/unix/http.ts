import { once } from 'node:events';
import http from 'node:http';
import { listenForRoot } from './listen.ts';

/** Text goes as it is, anything else as JSON. */
export interface Answer {
  code?: number;
  body: unknown;
}

/** @param below what stands behind a path that ends with `/`, decoded; else '' */
export type Answerer = (below: string) => Answer | Promise<Answer>;

/** Answers GET by path on a unix socket for root. A path that ends with `/` is for all below it. What its function throws is answered as 500. */
export async function serveHttp(
  socketPath: string,
  paths: Readonly<Record<string, Answerer>>,
  options?: { takeOver?: boolean },
): Promise<AsyncDisposable> {
  const server = http.createServer(async (request, response) => {
    const { code, body } = await answerOf(paths, request.url ?? '');
    const isText = typeof body === 'string';
    const headers = { 'content-type': isText ? 'text/plain' : 'application/json', connection: 'close' };
    response.writeHead(code ?? 200, headers).end(`${isText ? body : JSON.stringify(body, undefined, 2)}\n`);
  });
  await listenForRoot(server, socketPath, options);
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answerOf(paths: Readonly<Record<string, Answerer>>, url: string): Promise<Answer> {
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

  constructor(message: string, code: number) {
    super(message);
    this.name = 'AnswerError';
    this.code = code;
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
          return reject(new AnswerError(`${socketPath} answers ${statusCode}: ${text.slice(0, 200)}`, statusCode));
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
