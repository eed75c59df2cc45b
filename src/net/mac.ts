const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A 48-bit MAC address, immutable. */
export class Mac {
  readonly #bytes: Uint8Array;
  #text: string | undefined;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param text six hex pairs with colons, as `ip link` prints them. @throws SyntaxError */
  static parse(text: string): Mac {
    if (!/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text))
      throw new SyntaxError(`"${text}" is not a MAC address: expected six hex pairs with colons`);
    return new Mac(Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16)));
  }

  /** @param bytes six bytes; copied. */
  static fromBytes(bytes: Uint8Array): Mac {
    if (bytes.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`);
    return new Mac(Uint8Array.prototype.slice.call(bytes));
  }

  get bytes(): Uint8Array {
    return this.#bytes.slice();
  }

  equals(other: Mac): boolean {
    return this.toString() === other.toString();
  }

  toString(): string {
    const [a, b, c, d, e, f] = this.#bytes as unknown as [number, number, number, number, number, number];
    this.#text ??= `${hex[a]}:${hex[b]}:${hex[c]}:${hex[d]}:${hex[e]}:${hex[f]}`;
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }
}
