import type { AnyCodec, Codec, Infer, InferInput } from './codec.ts';

/** name: [number, format]. The number is the kernel's (without NLA_F_NESTED, which `nested` and `list` add). */
type Table = Record<string, readonly [type: number, codec: AnyCodec]>;

/** An attribute that the table does not name: kept, and written back when encoded. */
export interface UnknownAttribute {
  type: number;
  bytes: Uint8Array;
}

interface Rest {
  unknown?: readonly UnknownAttribute[];
}

export type Decoded<T extends Table> = { [K in keyof T]?: Infer<T[K][1]> } & Rest;
export type Encodable<T extends Table> = { [K in keyof T]?: InferInput<T[K][1]> } & Rest;

export interface Attributes<T, Input> extends Codec<T, Input> {
  readonly names: readonly string[];
}

/** Codecs whose attribute carries the NLA_F_NESTED mark. */
const marked = new WeakSet<object>();

/**
 * Netlink attributes by name, all optional. Of an attribute that comes twice the last counts. What a codec decodes to undefined is left out.
 * @param options `unknown: 'dropped'` for tables whose rest nobody writes back: copying it costs more than reading what is known
 */
export function attrs<T extends Table>(
  table: T,
  options: { unknown?: 'kept' | 'dropped' } = {},
): Attributes<Decoded<T>, Encodable<T>> {
  const entries = Object.entries(table).map(([name, [type, codec]]) => ({
    name,
    codec,
    type: marked.has(codec) ? type | 0x8000 : type,
  }));
  const byType: ({ name: string; codec: AnyCodec } | undefined)[] = [];
  for (const { name, codec, type } of entries) byType[type & 0x3fff] = { name, codec };
  return {
    names: entries.map(({ name }) => name),
    encode(writer, value) {
      for (const { name, codec, type } of entries) {
        const field = value[name];
        if (field === undefined || (field === false && codec === flag)) continue;
        const at = writer.beginAttribute(type);
        codec.encode(writer, field);
        writer.endAttribute(at);
      }
      for (const { type, bytes } of value.unknown ?? []) writer.attribute(type, (w) => w.bytes(bytes));
    },
    decode(reader) {
      const value: Record<string, unknown> = {};
      let unknown: UnknownAttribute[] | undefined;
      reader.eachAttribute((type, payload) => {
        const known = byType[type];
        if (known) {
          const field: unknown = known.codec.decode(payload);
          if (field !== undefined) value[known.name] = field;
        } else if (options.unknown !== 'dropped') {
          unknown ??= [];
          unknown.push({ type, bytes: payload.rest() });
        }
      });
      if (unknown) value.unknown = unknown;
      return value as Decoded<T>;
    },
    empty: {} as Encodable<T>,
  };
}

/** An attribute that holds attributes and is marked so (NLA_F_NESTED). */
export function nested<T, Input>(codec: Codec<T, Input>): Codec<T, Input> {
  const copy: Codec<T, Input> = { encode: (w, v) => codec.encode(w, v), decode: (r) => codec.decode(r) };
  marked.add(copy);
  return copy;
}

/** An attribute that holds the same kind of attribute again and again. @param type of each element (NFTA_LIST_ELEM is 1) */
export function list<T, Input>(type: number, codec: Codec<T, Input>): Codec<T[], readonly Input[]> {
  const elementType = marked.has(codec) ? type | 0x8000 : type;
  const all: Codec<T[], readonly Input[]> = {
    encode(writer, values) {
      for (const value of values) {
        const at = writer.beginAttribute(elementType);
        codec.encode(writer, value);
        writer.endAttribute(at);
      }
    },
    decode(reader) {
      const values: T[] = [];
      reader.eachAttribute((_type, payload) => values.push(codec.decode(payload)));
      return values;
    },
  };
  marked.add(all);
  return all;
}

/** An attribute without content: there or not (encoded when true, absent when false). */
export const flag: Codec<true, boolean> = { encode: () => {}, decode: (): true => true };
