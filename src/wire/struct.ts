import type { AnyCodec, Codec, Infer, InferInput } from './codec.ts';

type Fields = Record<string, AnyCodec>;
type Decoded<F extends Fields> = { [K in keyof F]: Infer<F[K]> };
type Encodable<F extends Fields> = { [K in keyof F]?: InferInput<F[K]> };

/** A codec with the names of its fields, so that a message can check them. */
export interface Struct<T, Input> extends Codec<T, Input> {
  readonly fields: readonly string[];
}

/**
 * Fields one behind the other, without gaps: write the compiler's padding out with `pad`. Fields that are not given are encoded as zero.
 */
export function struct<F extends Fields>(fields: F): Struct<Decoded<F>, Encodable<F>> {
  const names = Object.keys(fields);
  const codecs = Object.values(fields);
  return {
    fields: names,
    encode(writer, value) {
      for (let i = 0; i < names.length; i++) codecs[i]!.encode(writer, value[names[i]!] ?? codecs[i]!.empty);
    },
    decode(reader) {
      const value: Record<string, unknown> = {};
      for (let i = 0; i < names.length; i++) value[names[i]!] = codecs[i]!.decode(reader);
      return value as Decoded<F>;
    },
    empty: {},
  };
}
