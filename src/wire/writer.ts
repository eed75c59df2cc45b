const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Netlink attributes and messages begin at multiples of four bytes (NLA_ALIGNTO, NLMSG_ALIGNTO). */
export const align4 = (length: number): number => (length + 3) & ~3;

/**
 * Builds binary messages in one growing buffer. `u16`… write the host's byte order, `be16`… network order. Methods return the writer, so that calls chain.
 */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 4096) {
    this.#buffer = Buffer.from(new ArrayBuffer(capacity));
  }

  get length(): number {
    return this.#length;
  }

  /** What has been written; valid until the next write. */
  get written(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** The memory below, for calls that take a length of their own; replaced when it grows. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Forgets everything and keeps the memory. */
  reset(): this {
    this.#length = 0;
    return this;
  }

  /** Has room for so many bytes more at once, which else would come by doubling. */
  reserve(count: number): this {
    if (this.#length + count > this.#buffer.length) this.#grow(this.#length + count);
    return this;
  }

  /** Forgets everything, and gives back memory beyond so many bytes. */
  release(capacity: number): this {
    if (this.#buffer.length > capacity) this.#buffer = Buffer.from(new ArrayBuffer(capacity));
    this.#length = 0;
    return this;
  }

  /** Cuts what was written after `length` off again. */
  truncate(length: number): this {
    if (length > this.#length) throw new RangeError(`cannot truncate ${this.#length} bytes to ${length}`);
    this.#length = length;
    return this;
  }

  /** Makes room for `count` bytes and returns where they begin; their content is undefined. */
  #take(count: number): number {
    const at = this.#length;
    this.#length = at + count;
    if (this.#length > this.#buffer.length) this.#grow(Math.max(this.#buffer.length * 2, this.#length));
    return at;
  }

  #grow(capacity: number): void {
    const larger = Buffer.from(new ArrayBuffer(capacity));
    this.#buffer.copy(larger);
    this.#buffer = larger;
  }

  u8(value: number): this {
    const at = this.#take(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    return little ? this.le16(value) : this.be16(value);
  }

  u32(value: number): this {
    return little ? this.le32(value) : this.be32(value);
  }

  u64(value: bigint): this {
    const at = this.#take(8);
    if (little) this.#buffer.writeBigUInt64LE(value, at);
    else this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  le16(value: number): this {
    const at = this.#take(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  le32(value: number): this {
    const at = this.#take(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  be16(value: number): this {
    const at = this.#take(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  be32(value: number): this {
    const at = this.#take(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  be64(value: bigint): this {
    const at = this.#take(8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#take(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** Zeros to be written over. @returns where they begin in `buffer` */
  blank(count: number): number {
    const at = this.#take(count);
    this.#buffer.fill(0, at, at + count);
    return at;
  }

  zeros(count: number): this {
    const at = this.#take(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  /** UTF-8 without an end mark. */
  text(value: string): this {
    const length = Buffer.byteLength(value);
    const at = this.#take(length);
    this.#buffer.write(value, at, length);
    return this;
  }

  /** UTF-8 with a NUL behind. */
  cstring(value: string): this {
    return this.text(value).u8(0);
  }

  /** Overwrites a length or type that was left open. */
  patchU16(at: number, value: number): this {
    if (little) this.#buffer.writeUInt16LE(value, at);
    else this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  patchU32(at: number, value: number): this {
    if (little) this.#buffer.writeUInt32LE(value, at);
    else this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  /** What `u32` wrote. */
  getU32(at: number): number {
    return little ? this.#buffer.readUInt32LE(at) : this.#buffer.readUInt32BE(at);
  }

  /** Fills up with zeros to a multiple of four bytes, counted from the beginning of the buffer. */
  align(): this {
    return this.zeros(align4(this.#length) - this.#length);
  }

  /** Opens a netlink attribute (struct nlattr: length, type) and returns its place for `endAttribute`. */
  beginAttribute(type: number): number {
    const at = this.#length;
    this.u16(0).u16(type);
    return at;
  }

  /** @throws RangeError when the attribute is longer than its 16-bit length can say; what was written of it is cut off again */
  endAttribute(at: number): this {
    const length = this.#length - at;
    if (length > 0xffff) {
      this.#length = at;
      throw new RangeError(`an attribute of ${length} bytes does not fit: its length has 16 bits`);
    }
    return this.patchU16(at, length).align();
  }

  attribute(type: number, write: (writer: this) => void): this {
    const at = this.beginAttribute(type);
    write(this);
    return this.endAttribute(at);
  }

  /** An attribute whose content is attributes, marked so (NLA_F_NESTED). */
  nested(type: number, write: (writer: this) => void): this {
    return this.attribute(type | 0x8000, write);
  }
}
