const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** @returns a negative number for what is none */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1 << 8;
}

/** A 48-bit MAC address, immutable. */
export class Mac {
  readonly #bytes: Uint8Array;
  #text: string | undefined;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param text six hex pairs with colons, as `ip link` prints them. @throws SyntaxError */
  static parse(text: string): Mac {
    const bytes = new Uint8Array(6);
    let isMac = text.length === 17;
    for (let i = 0, at = 0; isMac && i < 6; i++, at += 3) {
      const byte = (hexDigit(text.charCodeAt(at)) << 4) | hexDigit(text.charCodeAt(at + 1));
      isMac = byte >= 0 && (i === 5 || text[at + 2] === ':');
      bytes[i] = byte;
    }
    if (!isMac) throw new SyntaxError(`"${text}" is not a MAC address: expected six hex pairs with colons`);
    return new Mac(bytes);
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
