import { endianness } from 'node:os';

/** True, false, or not to be told from what is known. */
export type Tri = boolean | 'unknown';

export const and = (a: Tri, b: Tri): Tri => (a === false || b === false ? false : a === true && b === true ? true : 'unknown');
export const not = (a: Tri): Tri => (a === 'unknown' ? a : !a);

const little = endianness() === 'LE';

/** Bytes of which only some bits are known: bits that are 0 in `known` are 0 in `value` as well. */
export interface Bits {
  value: Uint8Array;
  known: Uint8Array;
}

const knownBits = (value: Uint8Array): Bits => ({ value, known: new Uint8Array(value.length).fill(0xff) });
export const unknownBits = (length: number): Bits => ({ value: new Uint8Array(length), known: new Uint8Array(length) });

/** The same few values are compared with again and again: each packet meets each rule. */
const decoded = new Map<string, Buffer>();
const mostDecoded = 50_000;

/** Of nftables' `0x…`; not to be written to. */
export function hexBytes(hex: string): Buffer {
  let bytes = decoded.get(hex);
  if (!bytes) {
    bytes = Buffer.from(hex.slice(2), 'hex');
    if (decoded.size >= mostDecoded) decoded.clear();
    decoded.set(hex, bytes);
  }
  return bytes;
}

/** Frees what was remembered. */
export const forgetDecoded = (): void => decoded.clear();

export const hexBits = (hex: string): Bits => knownBits(hexBytes(hex));
export const bytesBits = (bytes: Uint8Array): Bits => knownBits(Uint8Array.from(bytes));

/** A number in network order. */
export function beBits(value: number, length: number): Bits {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return knownBits(bytes);
}

/** A number in the host's order. */
export function hostBits(value: number, length: number, known = 0xffffffff): Bits {
  const write = (number: number): Uint8Array => {
    const bytes = Buffer.alloc(length);
    if (little) bytes.writeUIntLE(number >>> 0, 0, length);
    else bytes.writeUIntBE(number >>> 0, 0, length);
    return bytes;
  };
  const mask = length === 4 ? known >>> 0 : known & ((1 << (length * 8)) - 1);
  return { value: write((value & mask) >>> 0), known: write(mask) };
}

/** Text with NULs behind; each `?` is a character that is not known. */
export function textBits(text: string, length: number): Bits {
  const bits = knownBits(Buffer.alloc(length));
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '?') bits.known[i] = 0;
    else bits.value[i] = text.charCodeAt(i);
  }
  return bits;
}

/** A view: not to be kept while what it is of changes. Behind the end nothing is known. */
export function slice({ value, known }: Bits, from: number, length: number): Bits {
  const end = from + length;
  if (end <= value.length) return { value: value.subarray(from, end), known: known.subarray(from, end) };
  const part = unknownBits(length);
  part.value.set(value.subarray(from, end));
  part.known.set(known.subarray(from, end));
  return part;
}

/** One behind the other. */
export function join(parts: readonly Bits[]): Bits {
  const all = unknownBits(parts.reduce((sum, { value }) => sum + value.length, 0));
  let at = 0;
  for (const { value, known } of parts) {
    all.value.set(value, at);
    all.known.set(known, at);
    at += value.length;
  }
  return all;
}

/** `(a & mask) ^ xor`; what the mask clears is known. */
export function maskXor({ value, known }: Bits, mask: Uint8Array, xor: Uint8Array): Bits {
  const result = unknownBits(value.length);
  for (let i = 0; i < value.length; i++) {
    const kept = mask[i] ?? 0;
    result.known[i] = known[i]! | (~kept & 0xff);
    result.value[i] = ((value[i]! & kept) ^ (xor[i] ?? 0)) & result.known[i]!;
  }
  return result;
}

export const isKnown = ({ known }: Bits): boolean => known.every((byte) => byte === 0xff);

/** Whether the first bytes of `a`, as many as `b` has, are those of `b`. */
export function equals(a: Bits, b: Uint8Array): Tri {
  let sure = true;
  for (let i = 0; i < b.length; i++) {
    const known = a.known[i] ?? 0;
    if ((((a.value[i] ?? 0) ^ b[i]!) & known) !== 0) return false;
    if (known !== 0xff) sure = false;
  }
  return sure || 'unknown';
}

/** -1, 0, 1 as memcmp tells, or undefined when unknown bits decide. */
function compare(a: Bits, b: Uint8Array): { low: number; high: number } {
  const low = a.value.subarray(0, b.length);
  const high = low.map((byte, i) => byte | (~a.known[i]! & 0xff));
  return { low: Buffer.compare(low, b), high: Buffer.compare(high, b) };
}

/** a < b, as bytes in network order. */
export function lessThan(a: Bits, b: Uint8Array): Tri {
  const { low, high } = compare(a, b);
  return high < 0 ? true : low >= 0 ? false : 'unknown';
}

export const within = (a: Bits, from: Uint8Array, to: Uint8Array): Tri => {
  const { low, high } = compare(a, to);
  const atMost: Tri = high <= 0 ? true : low > 0 ? false : 'unknown';
  return and(not(lessThan(a, from)), atMost);
};

/** The number in host order. @returns undefined when not all of it is known */
export function hostNumber(bits: Bits): number | undefined {
  if (!isKnown(bits)) return undefined;
  const bytes = Buffer.from(bits.value);
  return little ? bytes.readUIntLE(0, bytes.length) : bytes.readUIntBE(0, bytes.length);
}

/** Reverses the bytes of each group of `size`: hton and ntoh on little-endian machines. */
export function swap({ value, known }: Bits, size: number): Bits {
  if (!little) return { value, known };
  const turn = (bytes: Uint8Array): Uint8Array => {
    const turned = Uint8Array.from(bytes);
    for (let at = 0; at + size <= turned.length; at += size) turned.subarray(at, at + size).reverse();
    return turned;
  };
  return { value: turn(value), known: turn(known) };
}
