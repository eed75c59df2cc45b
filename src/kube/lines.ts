/**
 * Splits a byte stream at 0x0a. Cut on Buffers and not on text, so that a character over the edge of two chunks stays whole and a long
 * line is copied once.
 */
export class LineSplitter {
  readonly #onLine: (line: Buffer) => void;
  #pending: Buffer[] = [];

  constructor(onLine: (line: Buffer) => void) {
    this.#onLine = onLine;
  }

  write(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      const tail = chunk.subarray(start, end);
      start = end + 1;
      if (this.#pending.length === 0) this.#onLine(tail);
      else {
        const line = Buffer.concat([...this.#pending, tail]);
        this.#pending = [];
        this.#onLine(line);
      }
    }
    if (start < chunk.length) this.#pending.push(chunk.subarray(start));
  }

  /** Bytes of a line that has not ended. */
  get pendingBytes(): number {
    return this.#pending.reduce((sum, part) => sum + part.length, 0);
  }
}
