/** The bytes are no valid protobuf message, or ask for more than the limits allow. */
export class ProtobufError extends RangeError {
  constructor(message: string) {
    super(message);
    this.name = 'ProtobufError';
  }
}

/** Wire types of protobuf's encoding; groups (3, 4) are not used by Kubernetes and rejected. */
export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Reads tags and values of one message. Every read is checked against the end. */
export class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  tag(): { field: number; wireType: number } {
    const tag = this.varint();
    const field = Number(tag >> 3n);
    if (field === 0 || field > 0x1fff_ffff)
      throw new ProtobufError(`field number ${field} at byte ${this.#offset} is none of protobuf's`);
    return { field, wireType: Number(tag & 7n) };
  }

  /** Unsigned, at most 64 bits. */
  varint(): bigint {
    // Short ones, nearly all, without bigint arithmetic.
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new ProtobufError(`the number before byte ${this.#offset} is longer than 64 bits`);
  }

  fixed64(): Buffer {
    return this.#take(8);
  }

  fixed32(): Buffer {
    return this.#take(4);
  }

  bytes(): Buffer {
    return this.#take(Number(this.varint()));
  }

  skip(wireType: number): void {
    if (wireType === wireTypes.varint) this.varint();
    else if (wireType === wireTypes.bytes) this.bytes();
    else if (wireType === wireTypes.fixed64) this.fixed64();
    else if (wireType === wireTypes.fixed32) this.fixed32();
    else throw new ProtobufError(`wire type ${wireType} at byte ${this.#offset} is not supported`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset++];
    if (byte === undefined) throw new ProtobufError(`the message ends in the middle of a number, at byte ${this.#bytes.length}`);
    return byte;
  }

  #take(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length)
      throw new ProtobufError(
        `a value of ${length} bytes at byte ${this.#offset} reaches beyond the end of its message (${this.#bytes.length} bytes)`,
      );
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}
