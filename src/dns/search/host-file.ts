import { readFileSync, statSync } from 'node:fs';

const checkEveryMs = 5000;

/** A file of the host that may change: looked at again every five seconds, when somebody asks. One that is away for now counts as it was. */
export class HostFile {
  readonly #path: string;
  readonly #now: () => number;
  #checkedAt = Number.NEGATIVE_INFINITY;
  #seen = '';
  #text: string | undefined;

  /** @param now monotonic milliseconds */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** Its content; undefined when it was never there. The same string as long as nothing changed. */
  read(): string | undefined {
    const now = this.#now();
    if (now < this.#checkedAt + checkEveryMs) return this.#text;
    this.#checkedAt = now;
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const seen = `${mtimeMs} ${size} ${ino}`;
      if (seen === this.#seen) return this.#text;
      const text = readFileSync(this.#path, 'utf8');
      this.#seen = seen;
      if (text !== this.#text) this.#text = text;
    } catch {
      // It is asked again in a while; which search path pods got is not changed by its absence.
      this.#seen = '';
    }
    return this.#text;
  }
}
