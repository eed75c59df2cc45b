/** How the distance to a label is written into an instruction. */
export type FixupKind = 'x64-rel32' | 'arm64-adr' | 'arm64-branch26' | 'arm64-branch19';

interface Line {
  offset: number;
  length: number;
  text: string;
}

/** Collects machine code, labels and a listing; resolves the labels at the end. Offsets are in bytes from the first instruction. */
export class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: { at: number; label: string; kind: FixupKind }[] = [];
  readonly #lines: Line[] = [];

  label(name: string): void {
    if (this.#labels.has(name)) throw new RangeError(`label ${name} is defined twice`);
    this.#labels.set(name, this.#bytes.length);
    this.#lines.push({ offset: this.#bytes.length, length: 0, text: `${name}:` });
  }

  /** One instruction. With `to`, its last four bytes hold the distance to that label. */
  instruction(text: string, bytes: readonly number[], to?: { label: string; kind: FixupKind }): void {
    this.#lines.push({ offset: this.#bytes.length, length: bytes.length, text: `  ${text}` });
    this.#bytes.push(...bytes);
    if (to) this.#fixups.push({ at: this.#bytes.length - 4, ...to });
  }

  align(boundary: number): void {
    while (this.#bytes.length % boundary) this.#bytes.push(0);
  }

  data(name: string, bytes: Uint8Array, comment: string): void {
    this.label(name);
    this.#lines.push({ offset: this.#bytes.length, length: 0, text: `  ; ${bytes.length} bytes: ${comment}` });
    this.#bytes.push(...bytes);
  }

  /** Code and data with all labels resolved. @throws RangeError for a label that nobody defined. */
  link(): Buffer {
    const code = Buffer.from(this.#bytes);
    for (const { at, label, kind } of this.#fixups) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new RangeError(`label ${label} is used but not defined`);
      patch(code, at, target - at, kind);
    }
    return code;
  }

  /** `offset  bytes  instruction`, as a disassembler would print it. */
  listing(): string {
    const code = this.link();
    return this.#lines
      .map(({ offset, length, text }) => {
        const hex = code.subarray(offset, offset + length).toString('hex');
        return `${offset.toString(16).padStart(4, '0')}  ${hex.padEnd(22)} ${text}`.trimEnd();
      })
      .join('\n');
  }
}

/** @param distance from the first byte of the patched word to the label */
function patch(code: Buffer, at: number, distance: number, kind: FixupKind): void {
  if (kind === 'x64-rel32') {
    code.writeInt32LE(distance - 4, at); // relative to the end of the instruction
    return;
  }
  const word = code.readUInt32LE(at);
  const words = distance >> 2;
  const bits = {
    'arm64-adr': ((distance & 3) << 29) | ((words & 0x7ffff) << 5),
    'arm64-branch26': words & 0x3ffffff,
    'arm64-branch19': (words & 0x7ffff) << 5,
  }[kind];
  code.writeUInt32LE((word | bits) >>> 0, at);
}

/** A 32-bit value as four little-endian bytes. */
export const le32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
