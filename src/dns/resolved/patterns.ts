/** Names in lower case without the last dot; `*.` before one means all names below it, of one label more and of several (CNP11). */
export class DomainPatterns {
  readonly #exact = new Set<string>();
  readonly #below = new Set<string>();

  constructor(patterns: Iterable<string>) {
    for (const pattern of patterns) {
      const name = pattern.toLowerCase().replace(/\.$/, '');
      if (name.startsWith('*.')) this.#below.add(name.slice(2));
      else this.#exact.add(name);
    }
  }

  get isEmpty(): boolean {
    return this.#exact.size + this.#below.size === 0;
  }

  /** As many look-ups as the name has labels, whatever the number of patterns. */
  has(name: string): boolean {
    if (this.#exact.has(name)) return true;
    if (this.#below.size === 0) return false;
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) if (this.#below.has(name.slice(dot + 1))) return true;
    return false;
  }
}
