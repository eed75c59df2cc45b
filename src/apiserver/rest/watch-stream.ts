import type { ServerResponse } from 'node:http';
import type { ApiError } from '../../kube/api.ts';
import { initialEventsEnd } from '../../kube/api.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import { toStatus } from '../errors.ts';
import type { Json } from '../object.ts';
import type { WatchSink } from '../registry/watch.ts';
import type { ApiResource } from '../resources.ts';
import type { Entry, EventType } from '../store/entry.ts';

/** Events that wait for a client that does not read. Beyond it, the watch is cut: the client comes back and lists. */
const mostWaiting = 100_000;

/** How a watch shows its objects, when not as they are. */
export type Render = (entry: Entry) => Json;

/**
 * A watch as a chunked HTTP answer. Lines are only made when the socket takes them: a slow client costs references, not bytes.
 */
export class WatchStream implements WatchSink {
  readonly #response: ServerResponse;
  readonly #resource: ApiResource;
  readonly #render?: Render;
  #queue: (() => Buffer | string)[] = [];
  #head = 0;
  #blocked = false;
  #scheduled = false;
  #ended = false;

  constructor(response: ServerResponse, resource: ApiResource, render?: Render) {
    this.#response = response;
    this.#resource = resource;
    this.#render = render;
    response.on('drain', () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  event(type: EventType, entry: Entry, line: () => Buffer): void {
    const render = this.#render;
    this.#push(render ? () => `${JSON.stringify({ type, object: render(entry) })}\n` : line);
  }

  bookmark(version: number, initialEnd: boolean): void {
    const metadata: Json = {
      resourceVersion: String(version),
      creationTimestamp: null,
      ...(initialEnd && { annotations: { [initialEventsEnd]: 'true' } }),
    };
    const object = { kind: this.#resource.kind, apiVersion: apiVersionOf(this.#resource), metadata };
    this.#push(() => `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  end(error?: ApiError): void {
    if (this.#ended) return;
    if (error) this.#push(() => `${JSON.stringify({ type: 'ERROR', object: toStatus(error) })}\n`);
    this.#ended = true;
    this.#schedule();
  }

  #push(line: () => Buffer | string): void {
    if (this.#ended) return;
    this.#queue.push(line);
    if (this.#queue.length - this.#head > mostWaiting && this.#blocked && this.#head > 0) {
      this.#ended = true;
      this.#response.destroy();
      return;
    }
    this.#schedule();
  }

  /** One write for all events of a turn. */
  #schedule(): void {
    if (this.#scheduled || this.#blocked) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const response = this.#response;
    if (response.destroyed) {
      this.#queue = [];
      return;
    }
    while (!this.#blocked && this.#head < this.#queue.length) {
      const chunk: Buffer[] = [];
      for (let bytes = 0; bytes < 256 * 1024 && this.#head < this.#queue.length; ) {
        const line = this.#queue[this.#head++]!();
        const buffer = typeof line === 'string' ? Buffer.from(line) : line;
        chunk.push(buffer);
        bytes += buffer.length;
      }
      this.#blocked = !response.write(chunk.length === 1 ? chunk[0]! : Buffer.concat(chunk));
    }
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
      if (this.#ended) response.end();
    }
  }
}
