/** One of each value by its key, for what thousands of objects have alike. */
export class Interned<T> {
  readonly #kept = new Map<string, T>();

  of(key: string, value: T): T {
    const before = this.#kept.get(key);
    if (before !== undefined) return before;
    // They come and go for ever: what nobody has any more is not kept for ever.
    if (this.#kept.size > 20_000) this.#kept.clear();
    this.#kept.set(key, value);
    return value;
  }
}
