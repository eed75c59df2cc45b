import type { Resource } from './api.ts';

/** F13: a snapshot without objects, where there were some, counts when another one, so much later, has none either. */
export class EmptyDoubt {
  readonly #resource: Resource;
  readonly #confirmMs: number;
  /** When the server was first heard to have nothing, by performance.now(), while it is not believed. */
  #since: number | undefined;

  /** @param confirmMs 0 believes at once */
  constructor(resource: Resource, confirmMs: number) {
    this.#resource = resource;
    this.#confirmMs = confirmMs;
  }

  /** @param size of a snapshot, @param known how many objects there were @returns why it does not count yet */
  of(size: number, known: number): DoubtError | undefined {
    if (this.#confirmMs === 0 || size > 0 || known === 0) return undefined;
    this.#since ??= performance.now();
    return this.leftMs > 0 ? new DoubtError(this.#resource, known, this.#confirmMs) : undefined;
  }

  /** So long an empty snapshot does not count. */
  get leftMs(): number {
    return this.#since === undefined ? 0 : Math.max(0, this.#since + this.#confirmMs - performance.now());
  }

  /** The server was heard to have something, or was believed. */
  end(): void {
    this.#since = undefined;
  }
}

export class DoubtError extends Error {
  constructor({ plural }: Resource, size: number, confirmMs: number) {
    super(
      `list ${plural}: the server has none, where there were ${size}; they are kept until it says so again after ${confirmMs / 1000} s`,
    );
    this.name = 'DoubtError';
  }
}
