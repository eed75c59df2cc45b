import http from 'node:http';
import net from 'node:net';
import { patience } from '../../kernel/patience.ts';

export interface DnsReadinessOptions {
  socketPath: string;
  onChange: (ready: boolean) => void;
  /** Between looks while the DNS is not ready, and while it is: its end is told by the kernel at once. */
  soonMs?: number;
  laterMs?: number;
  /** Silence for so long, in which an answer could have been heard, is none. */
  timeoutMs?: number;
}

/**
 * Whether this node's own DNS can answer. Asks `/ready`, and holds a silent connection besides: when the process ends, however it ends, the kernel
 * closes that, and Services take its address over at once.
 */
export class DnsReadiness implements Disposable {
  readonly #options: Required<DnsReadinessOptions>;
  /** Fulfilled after the first answer, or when there was none. */
  readonly known: Promise<void>;
  #markKnown!: () => void;
  #ready = false;
  #timer: NodeJS.Timeout | undefined;
  #held: net.Socket | undefined;
  #request: http.ClientRequest | undefined;
  #disposed = false;

  constructor(options: DnsReadinessOptions) {
    this.#options = { soonMs: 100, laterMs: 1000, timeoutMs: 2000, ...options };
    this.known = new Promise((resolve) => {
      this.#markKnown = resolve;
    });
    this.#ask();
  }

  get ready(): boolean {
    return this.#ready;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#held?.destroy();
    this.#request?.destroy();
  }

  #ask(): void {
    clearTimeout(this.#timer);
    if (this.#disposed || this.#request) return;
    const { socketPath, timeoutMs } = this.#options;
    let answered = false;
    const answer = (ready: boolean): void => {
      if (answered) return;
      answered = true;
      stop();
      this.#request = undefined;
      this.#heard(ready);
    };
    // An agent that was given no processor for long must not say that its DNS is away.
    const stop = patience(timeoutMs, () => this.#request?.destroy(new Error('no answer')));
    this.#request = http
      .get({ socketPath, path: '/ready', agent: false }, (response) => {
        response.resume();
        answer(response.statusCode === 200);
      })
      .on('error', () => answer(false))
      .on('close', () => answer(false));
  }

  #heard(ready: boolean): void {
    if (this.#disposed) return;
    const { soonMs, laterMs, onChange } = this.#options;
    if (ready) this.#hold();
    this.#timer = setTimeout(() => this.#ask(), ready ? laterMs : soonMs);
    if (ready !== this.#ready) {
      this.#ready = ready;
      onChange(ready);
    }
    this.#markKnown();
  }

  #hold(): void {
    if (this.#held) return;
    const socket = net.connect(this.#options.socketPath);
    this.#held = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#held === socket) this.#held = undefined;
      // The server may have grown tired of it, too: ask.
      this.#ask();
    });
    socket.resume();
  }
}
