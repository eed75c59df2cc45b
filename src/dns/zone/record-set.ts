const few = 8;

/**
 * All records of one name and type. Several objects may contribute the same data (two slices while an endpoint moves between them): it is kept as
 * often as it was given and answered once.
 */
export class RecordSet {
  readonly type: number;
  ttl: number;
  #given: string[];
  #data: readonly string[] | undefined;

  constructor(type: number, ttl: number, first: string) {
    this.type = type;
    this.ttl = ttl;
    this.#given = [first];
  }

  add(data: string): void {
    // As long as needed and no longer: pushing makes room for 17 more, and most sets have one or two.
    if (this.#given.length < few) this.#given = [...this.#given, data];
    else this.#given.push(data);
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
