import type { Attributes } from './attributes.ts';
import type { Codec } from './codec.ts';
import type { Struct } from './struct.ts';

export interface Message<T, Input> {
  /** The number of the message, e.g. 24 for RTM_NEWROUTE. */
  readonly type: number;
  readonly body: Codec<T, Input>;
}

/**
 * A netlink message: a fixed header and attributes behind it, seen as one flat object.
 * @throws TypeError when a field and an attribute share a name
 */
export function message<H, HI extends object, A, AI extends object>(
  type: number,
  header: Struct<H, HI>,
  attributes: Attributes<A, AI>,
): Message<H & A, HI & AI> {
  const twice = header.fields.find((name) => attributes.names.includes(name));
  if (twice) throw new TypeError(`message ${type}: "${twice}" names a header field and an attribute`);
  return {
    type,
    body: {
      encode(writer, value) {
        header.encode(writer, value);
        writer.align();
        attributes.encode(writer, value);
      },
      decode(reader) {
        const start = reader.position;
        const fields = header.decode(reader);
        const padding = -(reader.position - start) & 3;
        reader.skip(Math.min(padding, reader.remaining));
        return Object.assign(fields as object, attributes.decode(reader)) as H & A;
      },
    },
  };
}
