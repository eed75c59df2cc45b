import type { ServerResponse } from 'node:http';
import { apiVersionOf } from '../../kube/resources.ts';
import type { Json } from '../object.ts';
import type { ApiResource } from '../resources.ts';
import type { Page } from '../store/store.ts';
import { type Answer, headers } from './respond.ts';

/** ListMeta of a page. */
export const listMetadata = (page: Page): Json => ({
  resourceVersion: String(page.version),
  ...(page.continue !== undefined && { continue: page.continue }),
  ...(page.remaining !== undefined && { remainingItemCount: page.remaining }),
});

/** A list out of the objects' own bytes, as fast as the client takes it. */
export async function sendList(answer: Answer, resource: ApiResource, page: Page): Promise<void> {
  const { response } = answer;
  response.writeHead(200, headers(answer));
  const head = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata: listMetadata(page) };
  let chunk: Buffer[] = [Buffer.from(`${JSON.stringify(head).slice(0, -1)},"items":[`)];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const free = response.write(Buffer.concat(chunk));
    chunk = [];
    bytes = 0;
    if (!free && !response.destroyed) await drained(response);
  };
  const comma = Buffer.from(',');
  for (const [at, entry] of page.entries.entries()) {
    if (at > 0) chunk.push(comma);
    chunk.push(entry.bytes);
    bytes += entry.bytes.length;
    if (bytes > 256 * 1024) await flush();
    if (response.destroyed) return;
  }
  chunk.push(Buffer.from(']}\n'));
  response.end(Buffer.concat(chunk));
}

/** Until the client took what was written, or went. */
const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
