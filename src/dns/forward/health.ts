/** up: asked first. suspect: it did not answer in time, a probe is on its way. down: several probes failed in a row. */
export type HealthState = 'up' | 'suspect' | 'down';

const firstBackoffMs = 500;
const lastBackoffMs = 30_000;

export interface HealthOptions {
  /** Failures in a row after which a resolver is down. */
  maxFails: number;
  /** Asks it something that every resolver can answer at once. Rejects when it does not. */
  probe: () => Promise<unknown>;
  onProbeFailed: () => void;
}

/**
 * Whether a resolver lives. A question that takes long says little (another server far away may be slow), so it only makes a resolver suspect; a probe in the
 * background says more.
 *
 *      ┌──── answer ─────────────┐
 *      ▼                         │
 *     up ──── time is over ──► suspect ── probe fails, or refused, maxFails times in a row ──► down
 *      ▲                                                                                        │
 *      └───────────────────── probe answered, or a question ────────────────────────────────────┘ probes after 0.5, 1, 2, … 30 s
 */
export class Health {
  readonly #options: HealthOptions;
  #state: HealthState = 'up';
  #fails = 0;
  /** Probes that failed in a row: these make the time between them longer, not the questions that came meanwhile. */
  #probesFailed = 0;
  #timer: NodeJS.Timeout | undefined;
  #probing = false;
  #closed = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get state(): HealthState {
    return this.#state;
  }

  /** Failures in a row. */
  get fails(): number {
    return this.#fails;
  }

  worked(): void {
    this.#state = 'up';
    this.#fails = this.#probesFailed = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** No answer came in time. */
  late(): void {
    if (this.#state === 'up') this.#state = 'suspect';
    this.#schedule(0);
  }

  /** It is not there, or refused to talk: no doubt is left. */
  failed(): void {
    this.#fails++;
    this.#state = this.#fails >= this.#options.maxFails ? 'down' : 'suspect';
    this.#schedule(this.#backoff());
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #backoff(): number {
    const base = Math.min(firstBackoffMs * 2 ** this.#probesFailed, lastBackoffMs);
    // Not all nodes at once.
    return base * (0.75 + Math.random() / 2);
  }

  #schedule(afterMs: number): void {
    if (this.#timer || this.#probing || this.#closed) return;
    this.#timer = setTimeout(() => void this.#probe(), afterMs).unref();
  }

  async #probe(): Promise<void> {
    this.#timer = undefined;
    this.#probing = true;
    let alive = true;
    try {
      await this.#options.probe();
    } catch {
      alive = false;
    }
    this.#probing = false;
    if (this.#closed) return;
    if (alive) this.worked();
    else {
      this.#probesFailed++;
      this.#options.onProbeFailed();
      this.failed();
    }
  }
}
