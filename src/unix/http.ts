import { once } from 'node:events';
import http from 'node:http';
import { listenForRoot } from './listen.ts';

/** Text goes as it is, anything else as JSON. */
export interface Answer {
  code?: number;
  body: unknown;
}

/** Answers GET by path on a unix socket for root. What a path's function throws is answered as 500. */
export async function serveHttp(
  socketPath: string,
  paths: Readonly<Record<string, () => Answer>>,
  options?: { takeOver?: boolean },
): Promise<AsyncDisposable> {
  const server = http.createServer((request, response) => {
    const { code, body } = answerOf(paths, request.url ?? '');
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

function answerOf(paths: Readonly<Record<string, () => Answer>>, url: string): Answer {
  if (!Object.hasOwn(paths, url)) return { code: 404, body: `ask for one of ${Object.keys(paths).join(', ')}` };
  try {
    return paths[url]!();
  } catch (error) {
    return { code: 500, body: (error as Error).message };
  }
}

/** @throws Error that says which socket does not answer, or not with 200 and JSON */
export function getJson<T>(socketPath: string, path: string, timeoutMs = 5000): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${socketPath} ${why}`));
    const call = http.request({ socketPath, path, agent: false, timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode !== 200) return fail(`answers ${response.statusCode}: ${text.slice(0, 200)}`);
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
