import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface Encoder<Input> {
  encode(writer: Writer, value: Input): void;
}

export interface Decoder<T> {
  /** Reads from the reader's position. @throws RangeError when the data ends too early */
  decode(reader: Reader): T;
}

/**
 * One format, both directions. `Input` is what may be given for encoding where that is more lenient than what decoding returns
 * (e.g. fields that default to zero).
 */
export interface Codec<T, Input = T> extends Encoder<Input>, Decoder<T> {
  /** Encoded for a field of a struct that is not given. */
  readonly empty?: Input;
}

/** What decoding yields. */
export type Infer<C> = C extends Decoder<infer T> ? T : never;

/** What encoding takes. */
export type InferInput<C> = C extends Encoder<infer T> ? T : never;

/** Any codec; for tables. */
// biome-ignore lint/suspicious/noExplicitAny: a table holds codecs of all types; Infer gets them back
export type AnyCodec = Codec<any, any>;

/** The same format as other values, e.g. numbers as names. */
export function mapped<T, Input, U>(codec: Codec<T, Input>, from: (value: T) => U, to: (value: U) => Input): Codec<U> {
  return {
    encode: (writer, value) => codec.encode(writer, to(value)),
    decode: (reader) => from(codec.decode(reader)),
  };
}
