const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Reads binary messages from a part of a buffer. Every read beyond `end` throws a RangeError. */
export class Reader {
  readonly buffer: Buffer;
  position: number;
  end: number;

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    if (position < 0 || end > buffer.length || position > end)
      throw new RangeError(`bytes ${position} to ${end} are not inside of a buffer of ${buffer.length} bytes`);
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  #take(count: number): number {
    const at = this.position;
    if (at + count > this.end)
      throw new RangeError(`truncated: ${count} bytes wanted at ${at}, but the data ends at ${this.end}`);
    this.position = at + count;
    return at;
  }

  u8(): number {
    return this.buffer[this.#take(1)]!;
  }

  u16(): number {
    return little ? this.le16() : this.be16();
  }

  u32(): number {
    return little ? this.le32() : this.be32();
  }

  s32(): number {
    return this.u32() | 0;
  }

  u64(): bigint {
    const at = this.#take(8);
    return little ? this.buffer.readBigUInt64LE(at) : this.buffer.readBigUInt64BE(at);
  }

  le16(): number {
    return this.buffer.readUInt16LE(this.#take(2));
  }

  le32(): number {
    return this.buffer.readUInt32LE(this.#take(4));
  }

  be16(): number {
    return this.buffer.readUInt16BE(this.#take(2));
  }

  be32(): number {
    return this.buffer.readUInt32BE(this.#take(4));
  }

  be64(): bigint {
    return this.buffer.readBigUInt64BE(this.#take(8));
  }

  /** A copy. */
  bytes(count: number): Buffer {
    const at = this.#take(count);
    return Buffer.from(this.buffer.subarray(at, at + count));
  }

  /** A copy of all that is left. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  skip(count: number): this {
    this.#take(count);
    return this;
  }

  /** Text up to the first NUL or the end; takes `count` bytes either way. */
  cstring(count = this.remaining): string {
    const at = this.#take(count);
    const nul = this.buffer.indexOf(0, at);
    return this.buffer.toString('utf8', at, nul < 0 || nul > at + count ? at + count : nul);
  }

  /**
   * Calls back for each netlink attribute of what is left, with this reader narrowed to the attribute's payload. The type comes without the
   * flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.
   * @throws RangeError when an attribute claims more bytes than there are
   */
  eachAttribute(each: (type: number, reader: Reader) => void): void {
    const end = this.end;
    // Fewer than four bytes at the end are padding.
    while (end - this.position >= 4) {
      const at = this.position;
      const length = this.u16();
      const type = this.u16() & 0x3fff;
      if (length < 4 || at + length > end)
        throw new RangeError(`truncated: attribute ${type} at ${at} says ${length} bytes, but the data ends at ${end}`);
      this.end = at + length;
      try {
        each(type, this);
      } finally {
        this.end = end;
      }
      this.position = Math.min((at + length + 3) & ~3, end);
    }
    this.position = end;
  }
}
