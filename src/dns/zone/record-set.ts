/**
 * All records of one name and type. Several objects may contribute the same data (two slices while an endpoint moves between them): it is kept as
 * often as it was given and answered once.
 */
export class RecordSet {
  readonly type: number;
  ttl: number;
  readonly #given: string[] = [];
  #data: readonly string[] | undefined;

  constructor(type: number, ttl: number) {
    this.type = type;
    this.ttl = ttl;
  }

  add(data: string): void {
    this.#given.push(data);
    this.#data = undefined;
  }

  /** @returns whether it was there */
  remove(data: string): boolean {
    const at = this.#given.indexOf(data);
    if (at < 0) return false;
    const last = this.#given.pop()!;
    if (at < this.#given.length) this.#given[at] = last;
    this.#data = undefined;
    return true;
  }

  get isEmpty(): boolean {
    return this.#given.length === 0;
  }

  /** Each once, in an order that does not depend on how they came. Made when first asked for after a change. */
  get data(): readonly string[] {
    this.#data ??= this.#given.length === 1 ? this.#given : [...new Set(this.#given)].sort();
    return this.#data;
  }
}
