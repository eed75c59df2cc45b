/**
 * What is only to be remembered of a call is remembered when its answer is under way: at the end of the same turn of the event loop, so that no event, timer or other
 * call comes between.
 */
export class Books {
  readonly #open = new Map<string, () => void>();

  /** @param key of whom it is about; whoever works on the same first calls `keepNow` */
  keepSoon(key: string, keep: () => void): void {
    this.#open.set(key, keep);
    // Runs when all promises that are settled have been heard, the one that sends the answer among them.
    process.nextTick(() => this.keepNow(key));
  }

  keepNow(key: string): void {
    const keep = this.#open.get(key);
    if (!keep) return;
    this.#open.delete(key);
    keep();
  }
}
