const stride = 6;
const textAt = 0;
const lengths = 1;
const hashAt = 2;
/** The set's number + 1; 0 for a free row. */
const setAt = 3;
const flagsAt = 4;
const ownerAt = 5;
const noData = 0xffff;

/**
 * Elements of nftables sets as rows of numbers and one slab of bytes: there can be a million of them, and as objects with strings each would take ten times
 * the memory and the collector's time. A row says which set the element is in; its key and data, as text, stand one behind the other in the slab.
 *
 *     row   0 text   1 lengths (key | data << 16; 0xffff: no data)   2 hash   3 set   4 flags   5 owner
 *
 * Rows are found by set and key through an open-addressed index. Numbers of rows are given again once they are removed.
 */
export class ElementRows {
  #cells = new Uint32Array(stride * 64);
  #slab = Buffer.alloc(4096);
  /** Row + 1, by hash; 0 where there is none. */
  #index = new Int32Array(128);
  #end = 0;
  #wasted = 0;
  /** Rows that were ever in use, and those of them that are free again. */
  #rows = 0;
  readonly #free: number[] = [];

  get size(): number {
    return this.#rows - this.#free.length;
  }

  /** What all of it takes. */
  get bytes(): number {
    return this.#cells.byteLength + this.#index.byteLength + this.#slab.byteLength;
  }

  /** The row of an element; made, without data, when there is none. */
  place(set: number, key: string): number {
    const length = this.#write(key);
    const hash = this.#hash(set, length);
    const at = this.#locate(set, hash, length);
    const found = this.#index[at]! - 1;
    if (found >= 0) return found;
    const row = this.#free.pop() ?? this.#rows++;
    this.#room();
    const cell = row * stride;
    this.#cells[cell + textAt] = this.#end;
    this.#cells[cell + lengths] = length | (noData << 16);
    this.#cells[cell + hashAt] = hash;
    this.#cells[cell + setAt] = set + 1;
    this.#cells[cell + flagsAt] = 0;
    this.#end += length;
    this.#index[at] = row + 1;
    if (this.size * 2 > this.#index.length) this.#reindex(this.#index.length * 2);
    return row;
  }

  find(set: number, key: string): number | undefined {
    const length = this.#write(key);
    const found = this.#index[this.#locate(set, this.#hash(set, length), length)]! - 1;
    return found < 0 ? undefined : found;
  }

  set(row: number): number {
    return this.#cells[row * stride + setAt]! - 1;
  }

  key(row: number): string {
    const cell = row * stride;
    const start = this.#cells[cell + textAt]!;
    return this.#slab.toString('utf8', start, start + (this.#cells[cell + lengths]! & 0xffff));
  }

  data(row: number): string | undefined {
    const cell = row * stride;
    const both = this.#cells[cell + lengths]!;
    if (both >>> 16 === noData) return undefined;
    const start = this.#cells[cell + textAt]! + (both & 0xffff);
    return this.#slab.toString('utf8', start, start + (both >>> 16));
  }

  /** Whether that is the row's data. */
  hasData(row: number, data: string | undefined): boolean {
    const both = this.#cells[row * stride + lengths]!;
    const length = both >>> 16;
    if (data === undefined || length === noData) return data === undefined && length === noData;
    // Only what is not ASCII has more bytes than characters.
    if (length !== data.length) return length > data.length && this.data(row) === data;
    const start = this.#cells[row * stride + textAt]! + (both & 0xffff);
    for (let i = 0; i < length; i++) if (this.#slab[start + i] !== data.charCodeAt(i)) return false;
    return true;
  }

  setData(row: number, data: string | undefined): void {
    const cell = row * stride;
    const both = this.#cells[cell + lengths]!;
    const keyLength = both & 0xffff;
    const before = both >>> 16 === noData ? 0 : both >>> 16;
    let start = this.#cells[cell + textAt]!;
    if (data === undefined) {
      this.#cells[cell + lengths] = keyLength | (noData << 16);
      this.#waste(before);
      return;
    }
    // The row that was made last has its key at the end already.
    if (start + keyLength !== this.#end) {
      this.#reserve(keyLength);
      this.#slab.copyWithin(this.#end, start, start + keyLength);
      this.#cells[cell + textAt] = start = this.#end;
      this.#end += keyLength;
      this.#wasted += keyLength + before;
    }
    const length = this.#write(data);
    this.#cells[cell + lengths] = keyLength | (length << 16);
    this.#end += length;
    this.#waste(0);
  }

  flags(row: number): number {
    return this.#cells[row * stride + flagsAt]!;
  }

  setFlags(row: number, flags: number): void {
    this.#cells[row * stride + flagsAt] = flags;
  }

  owner(row: number): number {
    return this.#cells[row * stride + ownerAt]!;
  }

  setOwner(row: number, owner: number): void {
    this.#cells[row * stride + ownerAt] = owner;
  }

  remove(row: number): void {
    const cell = row * stride;
    const both = this.#cells[cell + lengths]!;
    this.#unindex(row);
    this.#cells[cell + setAt] = 0;
    this.#free.push(row);
    this.#waste((both & 0xffff) + (both >>> 16 === noData ? 0 : both >>> 16));
  }

  *rows(): Iterable<number> {
    for (let row = 0; row < this.#rows; row++) if (this.#cells[row * stride + setAt] !== 0) yield row;
  }

  /** Puts a text behind the end of the slab, to be looked up or kept. @returns its bytes */
  #write(text: string): number {
    const { length } = text;
    this.#reserve(length * 3);
    const slab = this.#slab;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return this.#checked(slab.write(text, this.#end), text);
      slab[this.#end + i] = code;
    }
    return this.#checked(length, text);
  }

  #checked(bytes: number, text: string): number {
    if (bytes >= noData) throw new RangeError(`an element's key or data of ${bytes} bytes is too long: ${text.slice(0, 40)}...`);
    return bytes;
  }

  /** FNV-1a of what stands behind the end. */
  #hash(set: number, length: number): number {
    let hash = Math.imul(0x811c9dc5 ^ set, 0x01000193);
    const end = this.#end + length;
    for (let at = this.#end; at < end; at++) hash = Math.imul(hash ^ this.#slab[at]!, 0x01000193);
    // The low bits choose the place: all others are to count there.
    return (hash ^ (hash >>> 15)) >>> 0;
  }

  /** Where the index has the element whose key stands behind the end, or has room for it. */
  #locate(set: number, hash: number, length: number): number {
    const mask = this.#index.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = this.#index[at]! - 1;
      if (row < 0) return at;
      const cell = row * stride;
      if (this.#cells[cell + hashAt] === hash && this.#cells[cell + setAt] === set + 1 && this.#isKey(cell, length)) return at;
    }
  }

  #isKey(cell: number, length: number): boolean {
    if ((this.#cells[cell + lengths]! & 0xffff) !== length) return false;
    const start = this.#cells[cell + textAt]!;
    for (let i = 0; i < length; i++) if (this.#slab[start + i] !== this.#slab[this.#end + i]) return false;
    return true;
  }

  #unindex(row: number): void {
    const mask = this.#index.length - 1;
    let hole = this.#cells[row * stride + hashAt]! & mask;
    while (this.#index[hole] !== row + 1) hole = (hole + 1) & mask;
    // What comes behind and would not be found beyond the hole moves into it.
    for (let at = (hole + 1) & mask; this.#index[at] !== 0; at = (at + 1) & mask) {
      const home = this.#cells[(this.#index[at]! - 1) * stride + hashAt]! & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#index[hole] = this.#index[at]!;
      hole = at;
    }
    this.#index[hole] = 0;
  }

  #reindex(size: number): void {
    this.#index = new Int32Array(size);
    for (const row of this.rows()) {
      let at = this.#cells[row * stride + hashAt]! & (size - 1);
      while (this.#index[at] !== 0) at = (at + 1) & (size - 1);
      this.#index[at] = row + 1;
    }
  }

  /** Room for the rows there are. */
  #room(): void {
    if (this.#rows * stride <= this.#cells.length) return;
    const larger = new Uint32Array(Math.ceil((this.#cells.length * 1.5) / stride) * stride);
    larger.set(this.#cells);
    this.#cells = larger;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(Math.ceil(this.#slab.length * 1.5), this.#end + bytes));
    this.#slab.copy(larger, 0, 0, this.#end);
    this.#slab = larger;
  }

  /** Counts bytes that nothing leads to any more; when they are half of all, the others move together. */
  #waste(bytes: number): void {
    this.#wasted += bytes;
    if (this.#wasted < 1 << 16 || this.#wasted * 2 < this.#end) return;
    const slab = Buffer.allocUnsafeSlow(Math.ceil((this.#end - this.#wasted) * 1.25) + 4096);
    let end = 0;
    for (const row of this.rows()) {
      const cell = row * stride;
      const both = this.#cells[cell + lengths]!;
      const start = this.#cells[cell + textAt]!;
      const length = (both & 0xffff) + (both >>> 16 === noData ? 0 : both >>> 16);
      this.#slab.copy(slab, end, start, start + length);
      this.#cells[cell + textAt] = end;
      end += length;
    }
    this.#slab = slab;
    this.#end = end;
    this.#wasted = 0;
  }
}
