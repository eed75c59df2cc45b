import type { Codec } from './codec.ts';

/** Unsigned integers in the host's byte order; `be…` in network order. 64 bits are bigints. */
export const u8: Codec<number> = { encode: (w, v) => void w.u8(v), decode: (r) => r.u8(), empty: 0 };
export const u16: Codec<number> = { encode: (w, v) => void w.u16(v), decode: (r) => r.u16(), empty: 0 };
export const u32: Codec<number> = { encode: (w, v) => void w.u32(v), decode: (r) => r.u32(), empty: 0 };
export const u64: Codec<bigint> = { encode: (w, v) => void w.u64(v), decode: (r) => r.u64(), empty: 0n };
/** Signed; negative numbers in two's complement. */
export const s32: Codec<number> = { encode: (w, v) => void w.u32(v >>> 0), decode: (r) => r.s32(), empty: 0 };
export const be16: Codec<number> = { encode: (w, v) => void w.be16(v), decode: (r) => r.be16(), empty: 0 };
export const be32: Codec<number> = { encode: (w, v) => void w.be32(v), decode: (r) => r.be32(), empty: 0 };
export const be64: Codec<bigint> = { encode: (w, v) => void w.be64(v), decode: (r) => r.be64(), empty: 0n };

/** A byte that is 0 or 1. */
export const bool8: Codec<boolean> = { encode: (w, v) => void w.u8(v ? 1 : 0), decode: (r) => r.u8() !== 0, empty: false };

/** UTF-8 up to a NUL or the end of the data. */
export const cstring: Codec<string> = { encode: (w, v) => void w.cstring(v), decode: (r) => r.cstring() };

/** Everything to the end of the data, copied. */
export const bytes: Codec<Uint8Array> = { encode: (w, v) => void w.bytes(v), decode: (r) => r.rest() };

/** Exactly `count` bytes. @throws RangeError on encoding another number */
export const fixedBytes = (count: number): Codec<Uint8Array> => ({
  encode(writer, value) {
    if (value.length !== count) throw new RangeError(`${count} bytes expected, not ${value.length}`);
    writer.bytes(value);
  },
  decode: (reader) => reader.bytes(count),
  empty: new Uint8Array(count),
});

/** Text in a field of `count` bytes, filled up with NUL. @throws RangeError when it does not fit with one NUL */
export const fixedString = (count: number): Codec<string> => ({
  encode(writer, value) {
    const length = Buffer.byteLength(value);
    if (length >= count) throw new RangeError(`${JSON.stringify(value)} is longer than ${count - 1} bytes`);
    writer.text(value).zeros(count - length);
  },
  decode: (reader) => reader.cstring(count),
  empty: '',
});

/** Bytes without meaning: zeros on encoding, skipped on decoding. */
export const pad = (count: number): Codec<undefined> => ({
  encode: (w) => void w.zeros(count),
  decode: (r) => void r.skip(count) as undefined,
});
