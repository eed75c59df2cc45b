import type { Special } from '../schema/index.ts';
import { ProtobufError, Reader, wireTypes } from './reader.ts';

/** Raw fields of a small message: the last value of each number. */
function fieldsOf(bytes: Buffer): Map<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  for (const reader = new Reader(bytes); !reader.done; ) {
    const { field, wireType } = reader.tag();
    if (wireType === wireTypes.varint) fields.set(field, reader.varint());
    else if (wireType === wireTypes.bytes) fields.set(field, reader.bytes());
    else reader.skip(wireType);
  }
  return fields;
}

/** Milliseconds that a Date can hold. */
const maxDateMs = 8.64e15;

function timeText(bytes: Buffer, digits: 0 | 6): string | null {
  const fields = fieldsOf(bytes);
  const [seconds, nanos] = [fields.get(1), fields.get(2)];
  // Go writes the zero time as an empty message and reads it back as null.
  if (seconds === undefined && nanos === undefined) return null;
  const ms = Number(BigInt.asIntN(64, typeof seconds === 'bigint' ? seconds : 0n)) * 1000;
  if (Math.abs(ms) > maxDateMs) throw new ProtobufError(`${ms / 1000} seconds since 1970 is no date`);
  const whole = new Date(ms).toISOString().slice(0, -5);
  const micros = Math.floor(Number(typeof nanos === 'bigint' ? BigInt.asIntN(32, nanos) : 0n) / 1000);
  return digits === 0 ? `${whole}Z` : `${whole}.${String(Math.max(0, micros)).padStart(6, '0').slice(0, 6)}Z`;
}

function json(bytes: Buffer | bigint | undefined): unknown {
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return null;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new ProtobufError(`embedded JSON cannot be read: ${(cause as Error).message}`);
  }
}

/** The JSON form of types that have one of their own. */
export function decodeSpecial(special: Special, bytes: Buffer): unknown {
  switch (special) {
    case 'time':
      return timeText(bytes, 0);
    case 'microTime':
      return timeText(bytes, 6);
    case 'quantity': {
      const text = fieldsOf(bytes).get(1);
      return Buffer.isBuffer(text) ? text.toString('utf8') : '0';
    }
    case 'intOrString': {
      // type 0: intVal (2), 1: strVal (3)
      const fields = fieldsOf(bytes);
      if (fields.get(1) === 1n) return fields.get(3)?.toString() ?? '';
      const value = fields.get(2);
      return typeof value === 'bigint' ? Number(BigInt.asIntN(32, value)) : 0;
    }
    case 'any':
      return json(fieldsOf(bytes).get(1));
  }
}
