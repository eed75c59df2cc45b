import { loadSchema, type Schema } from '../schema/index.ts';
import { specialOf } from '../schema/model.ts';
import type { FieldRow } from '../schema/table.ts';
import { ProtobufError, Reader, wireTypes } from './reader.ts';
import { decodeSpecial } from './wellknown.ts';

export { ProtobufError } from './reader.ts';

/** What kubectl sends as the Content-Type of such bodies. */
export const protobufContentType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0', 'latin1');
/** The deepest honest object has about fifteen levels. */
const maxDepth = 100;
/** Objects are at most 3 MiB in a real server; the values of a hostile one could still be many times that in memory. */
const maxValues = 1_000_000;

type Json = Record<string, unknown>;

/** Reads `TypeMeta { apiVersion = 1, kind = 2 }`. */
function typeMeta(bytes: Buffer): { apiVersion: string; kind: string } {
  const texts = ['', ''];
  for (const reader = new Reader(bytes); !reader.done; ) {
    const { field, wireType } = reader.tag();
    if ((field === 1 || field === 2) && wireType === wireTypes.bytes) texts[field - 1] = reader.bytes().toString('utf8');
    else reader.skip(wireType);
  }
  return { apiVersion: texts[0]!, kind: texts[1]! };
}

class Decoder {
  readonly #schema: Schema;
  readonly #rows = new Map<string, Map<number, FieldRow>>();
  #values = 0;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  #rowsOf(model: string): Map<number, FieldRow> {
    let rows = this.#rows.get(model);
    if (!rows) {
      rows = new Map((this.#schema.table.models[model]?.fields ?? []).filter((row) => row[3] > 0).map((row) => [row[3], row]));
      this.#rows.set(model, rows);
    }
    return rows;
  }

  message(model: string, bytes: Buffer, depth: number, target: Json): Json {
    if (depth > maxDepth) throw new ProtobufError(`${model} is nested more than ${maxDepth} levels deep`);
    const rows = this.#rowsOf(model);
    for (const reader = new Reader(bytes); !reader.done; ) {
      const { field, wireType } = reader.tag();
      const row = rows.get(field);
      // Fields of a newer client are ignored, as Go does.
      if (!row) reader.skip(wireType);
      else this.#field(row, reader, wireType, depth, target);
    }
    return target;
  }

  #field([name, type, flags]: FieldRow, reader: Reader, wireType: number, depth: number, target: Json): void {
    if (name === '') {
      this.message(type, reader.bytes(), depth + 1, target);
    } else if (type.startsWith('[]')) {
      const list = (target[name] ??= []) as unknown[];
      const items = type.slice(2);
      // Numbers may come packed: many in one length-delimited value.
      if (wireType === wireTypes.bytes && /^(int32|int64|boolean)$/.test(items))
        for (const packed = new Reader(reader.bytes()); !packed.done; )
          list.push(this.#value(items, packed, wireTypes.varint, depth));
      else list.push(this.#value(items, reader, wireType, depth));
    } else if (type.startsWith('{}')) {
      const [key, value] = this.#entry(type.slice(2), reader.bytes(), depth);
      // Own property, whatever the key: `__proto__` is a legal label in a request.
      Object.defineProperty((target[name] ??= {}) as Json, key, { value, enumerable: true, configurable: true, writable: true });
    } else {
      const value = this.#value(type, reader, wireType, depth);
      if (!isOmitted(value, flags)) target[name] = value;
    }
  }

  #entry(type: string, bytes: Buffer, depth: number): [string, unknown] {
    let key = '';
    let value: unknown;
    for (const reader = new Reader(bytes); !reader.done; ) {
      const { field, wireType } = reader.tag();
      if (field === 1) key = reader.bytes().toString('utf8');
      else if (field === 2) value = this.#value(type, reader, wireType, depth);
      else reader.skip(wireType);
    }
    return [key, value ?? (type === 'string' || type === 'bytes' ? '' : type.startsWith('@') ? [] : null)];
  }

  #value(type: string, reader: Reader, wireType: number, depth: number): unknown {
    if (++this.#values > maxValues) throw new ProtobufError(`more than ${maxValues} values`);
    const expect = (expected: number): void => {
      if (wireType !== expected) throw new ProtobufError(`a ${type} comes with wire type ${wireType} instead of ${expected}`);
    };
    switch (type) {
      case 'boolean':
        expect(wireTypes.varint);
        return reader.varint() !== 0n;
      case 'int32':
        expect(wireTypes.varint);
        return Number(BigInt.asIntN(32, reader.varint()));
      case 'int64':
        expect(wireTypes.varint);
        return Number(BigInt.asIntN(64, reader.varint()));
      case 'float64':
        expect(wireTypes.fixed64);
        return reader.fixed64().readDoubleLE();
    }
    expect(wireTypes.bytes);
    const bytes = reader.bytes();
    if (type === 'string') return bytes.toString('utf8');
    if (type === 'bytes') return bytes.toString('base64');
    if (type.startsWith('@')) return this.#wrapped(type.slice(1), bytes, depth);
    const special = specialOf(type);
    return special ? decodeSpecial(special, bytes) : this.message(type, bytes, depth + 1, {});
  }

  /** A list that is a message of its own, with the items in field 1. */
  #wrapped(type: string, bytes: Buffer, depth: number): unknown[] {
    const list: unknown[] = [];
    for (const reader = new Reader(bytes); !reader.done; ) {
      const { field, wireType } = reader.tag();
      if (field === 1) list.push(this.#value(type.slice(2), reader, wireType, depth));
      else reader.skip(wireType);
    }
    return list;
  }
}

/**
 * Go's protobuf writer sends zero values too; its JSON writer leaves those of `omitempty` fields out. An empty struct it would write as {},
 * which says no more than nothing.
 */
function isOmitted(value: unknown, flags: string): boolean {
  if (value === null) return true;
  if (!flags.includes('o') || flags.includes('p')) return false;
  return value === '' || value === 0 || value === false || (typeof value === 'object' && Object.keys(value).length === 0);
}

/**
 * Decodes a request body of `application/vnd.kubernetes.protobuf` ("k8s\0", then runtime.Unknown) to the object that the same request would
 * carry in JSON. What kind it is stands in the body.
 *
 * @throws ProtobufError
 */
export function decodeProtobuf(body: Buffer, schema: Schema = loadSchema()): Json & { apiVersion: string; kind: string } {
  if (!body.subarray(0, 4).equals(magic))
    throw new ProtobufError(
      `a protobuf body starts with "k8s\\0", this one with ${JSON.stringify(body.subarray(0, 4).toString('latin1'))}`,
    );
  let meta = { apiVersion: '', kind: '' };
  let raw: Buffer = Buffer.alloc(0);
  let encoding = '';
  // runtime.Unknown { typeMeta = 1, raw = 2, contentEncoding = 3, contentType = 4 }
  for (const reader = new Reader(body.subarray(4)); !reader.done; ) {
    const { field, wireType } = reader.tag();
    if (field === 1 && wireType === wireTypes.bytes) meta = typeMeta(reader.bytes());
    else if (field === 2 && wireType === wireTypes.bytes) raw = reader.bytes();
    else if (field === 3 && wireType === wireTypes.bytes) encoding = reader.bytes().toString('utf8');
    else reader.skip(wireType);
  }
  if (encoding !== '') throw new ProtobufError(`content encoding ${JSON.stringify(encoding)} is not supported`);
  const slash = meta.apiVersion.indexOf('/');
  const [group, version] =
    slash < 0 ? ['', meta.apiVersion] : [meta.apiVersion.slice(0, slash), meta.apiVersion.slice(slash + 1)];
  // DeleteOptions and the other types of meta/v1 are registered in every group.
  const model = schema.kind(group, version, meta.kind) ?? schema.kind('', 'v1', meta.kind);
  if (!model) throw new ProtobufError(`no kind ${JSON.stringify(meta.kind)} is known in ${JSON.stringify(meta.apiVersion)}`);
  const object = new Decoder(schema).message(model.name, raw, 0, {});
  return { ...object, apiVersion: meta.apiVersion, kind: meta.kind };
}
