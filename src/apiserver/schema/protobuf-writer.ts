/** A varint field's bytes: little-endian groups of seven bits. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** Fields of a protobuf message in the order written. Wire types 0 (varint) and 2 (length-delimited) are all that OpenAPI needs. */
export class MessageWriter {
  readonly #parts: Buffer[] = [];

  bytes(field: number, value: Buffer | string | MessageWriter): this {
    const body = value instanceof MessageWriter ? value.finish() : typeof value === 'string' ? Buffer.from(value) : value;
    this.#parts.push(varint(field * 8 + 2), varint(body.length), body);
    return this;
  }

  /** A non-negative number. */
  varint(field: number, value: number): this {
    this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
