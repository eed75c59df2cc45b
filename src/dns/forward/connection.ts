import type { Duplex } from 'node:stream';
import { count } from '../metrics.ts';
import type { Message, Question } from '../wire/message.ts';
import type { ForwardCounters } from './counters.ts';
import { ExchangeError, reasonOf } from './errors.ts';
import { judge } from './judge.ts';
import { encodeRequest, randomId } from './request.ts';

interface Waiting {
  request: Buffer;
  question: Question;
  end(result: Message | ExchangeError): void;
}

export interface ConnectionOptions {
  server: string;
  counters: ForwardCounters;
  /** Over TLS, lengths are filled up (RFC 8467). */
  padTo?: number;
  /** Closed when nothing was asked for so long. */
  idleMs: number;
  onClose(): void;
}

/** A connection to a resolver: many questions one behind the other, answers in any order (RFC 7766 6.2.1, RFC 7858 3.4). */
export class Connection {
  readonly #stream: Duplex;
  readonly #options: ConnectionOptions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #idle: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #silentSince = 0;
  /** Questions that were asked on it. */
  asked = 0;
  open = true;

  constructor(stream: Duplex, options: ConnectionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#idle = setTimeout(() => this.#waiting.size === 0 && this.close('idle'), options.idleMs).unref();
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('error', (error) => this.close(reasonOf(error)));
    stream.on('end', () => this.close('ended'));
    stream.on('close', () => this.close('ended'));
  }

  /** Questions that wait for their answers. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** @throws ExchangeError; `ended` when the resolver closed the connection before it answered */
  ask(question: Question, { timeoutMs, edns }: { timeoutMs: number; edns: boolean }): Promise<Message> {
    const { server, padTo } = this.#options;
    let id = randomId();
    while (this.#waiting.has(id)) id = (id + 1) & 0xffff;
    const request = encodeRequest(question, { id, edns, padTo });
    this.asked++;
    return new Promise((resolve, reject) => {
      const asked = performance.now();
      const timer = setTimeout(() => {
        this.#waiting.get(id)?.end(new ExchangeError(server, 'timeout'));
        // Nothing at all came since: the other side may be gone without a word.
        if (this.#silentSince <= asked) this.close('timeout');
      }, timeoutMs);
      this.#waiting.set(id, {
        ...{ request, question },
        end: (result) => {
          clearTimeout(timer);
          this.#waiting.delete(id);
          this.#idle.refresh();
          if (result instanceof ExchangeError) reject(result);
          else resolve(result);
        },
      });
      if (this.open) this.#stream.write(Buffer.concat([Buffer.of(request.length >> 8, request.length & 255), request]));
      else this.#waiting.get(id)!.end(new ExchangeError(server, 'ended'));
    });
  }

  close(reason: string): void {
    if (!this.open) return;
    this.open = false;
    clearTimeout(this.#idle);
    this.#stream.destroy();
    this.#options.onClose();
    for (const { end } of [...this.#waiting.values()]) end(new ExchangeError(this.#options.server, reason));
  }

  #receive(chunk: Buffer): void {
    this.#silentSince = performance.now();
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let from = 0;
    while (this.open && this.#received.length - from >= 2) {
      const length = this.#received.readUInt16BE(from);
      if (this.#received.length - from - 2 < length) break;
      // In memory of its own: an answer must not keep a whole chunk alive.
      this.#take(Buffer.from(this.#received.subarray(from + 2, from + 2 + length)));
      from += 2 + length;
    }
    if (from > 0) this.#received = Buffer.from(this.#received.subarray(from));
  }

  #take(message: Buffer): void {
    const waiting = message.length < 2 ? undefined : this.#waiting.get(message.readUInt16BE(0));
    const judged = waiting && judge(waiting.request, waiting.question, message, true);
    if (judged && 'message' in judged) waiting.end(judged.message);
    else {
      count(this.#options.counters.strays, judged ? ('doubt' in judged ? judged.doubt : judged.stray) : 'id');
      // Late ones come here after their time. One that is at fault ends its question: nothing better will follow.
      waiting?.end(new ExchangeError(this.#options.server, 'malformed'));
    }
  }
}
