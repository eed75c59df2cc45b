import { isJson, type Json, setOwn } from '../object.ts';
import type { Field, FieldType, Model } from '../schema/index.ts';
import { canonicalQuantity } from './quantity.ts';

/** What cannot be an object of its kind, in the words of Go's JSON decoder. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

export interface Decoded {
  object: Json;
  /** Paths of fields that the kind does not have; they are not in `object`. */
  unknown: string[];
}

/**
 * Brings JSON into the form that Kubernetes keeps: fields unknown to the model are dropped and told, nulls and the zero values that Go
 * leaves out are dropped, quantities and times are in canonical form. The result shares nothing with the input.
 * @throws DecodeError when a value has the wrong type
 */
export function decodeModel(model: Model, value: unknown): Decoded {
  const decoder = new Decoder();
  return { object: decoder.model(model, value, '', '', '') as Json, unknown: decoder.unknown };
}

/** `io.k8s.api.core.v1.Container` → `v1.Container` */
const goName = (model: Model): string => model.name.split('.').slice(-2).join('.');

const goTypes: Record<string, string> = {
  string: 'string',
  boolean: 'bool',
  int32: 'int32',
  int64: 'int64',
  float64: 'float64',
  bytes: '[]uint8',
};

function goType(type: FieldType): string {
  if (type.kind === 'list') return `[]${goType(type.items)}`;
  if (type.kind === 'map') return `map[string]${goType(type.values)}`;
  if (type.kind === 'model') return type.model.special === 'quantity' ? 'resource.Quantity' : goName(type.model);
  return goTypes[type.kind] ?? 'interface {}';
}

const jsonKind = (value: unknown): string => {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
};

const limits: Record<string, number> = { int32: 2 ** 31, int64: 2 ** 63 };

class Decoder {
  readonly unknown: string[] = [];

  /** @param path with list indexes, for unknown fields @param goPath without, as Go's errors have it @param owner the field's struct */
  model(model: Model, value: unknown, path: string, goPath: string, owner: string): unknown {
    if (model.special) return this.#special(model, value, goPath, owner);
    if (!isJson(value)) throw this.#mismatch(value, goName(model), goPath, owner);
    const result: Json = {};
    const struct = model.name.slice(model.name.lastIndexOf('.') + 1);
    for (const name of Object.keys(value)) {
      const inner = path ? `${path}.${name}` : name;
      const field = model.fields.get(name);
      if (!field) {
        this.unknown.push(inner);
        continue;
      }
      const member = value[name];
      if (member === null || member === undefined) continue;
      const decoded = this.#value(field.type, member, inner, goPath ? `${goPath}.${name}` : name, struct);
      if (decoded !== undefined && !isLeftOut(field, decoded)) result[name] = decoded;
    }
    return result;
  }

  #value(type: FieldType, value: unknown, path: string, goPath: string, owner: string): unknown {
    switch (type.kind) {
      case 'list':
        if (!Array.isArray(value)) throw this.#mismatch(value, goType(type), goPath, owner);
        return value.map((item, index) =>
          item === null ? zeroOf(type.items) : this.#value(type.items, item, `${path}[${index}]`, goPath, owner),
        );
      case 'map': {
        if (!isJson(value)) throw this.#mismatch(value, goType(type), goPath, owner);
        const result: Json = {};
        for (const name of Object.keys(value)) {
          const member = value[name];
          setOwn(
            result,
            name,
            member === null ? zeroOf(type.values) : this.#value(type.values, member, `${path}.${name}`, goPath, owner),
          );
        }
        return result;
      }
      case 'model':
        return this.model(type.model, value, path, goPath, owner);
      case 'string':
        if (typeof value !== 'string') throw this.#mismatch(value, 'string', goPath, owner);
        return value;
      case 'bytes':
        if (typeof value !== 'string') throw this.#mismatch(value, '[]uint8', goPath, owner);
        return base64(value);
      case 'boolean':
        if (typeof value !== 'boolean') throw this.#mismatch(value, 'bool', goPath, owner);
        return value;
      case 'int32':
      case 'int64':
        if (typeof value !== 'number') throw this.#mismatch(value, type.kind, goPath, owner);
        if (!Number.isInteger(value) || value >= limits[type.kind]! || value < -limits[type.kind]!)
          throw new DecodeError(
            `json: cannot unmarshal number ${value} into Go struct field ${owner}.${goPath} of type ${type.kind}`,
          );
        return value;
      case 'float64':
        if (typeof value !== 'number') throw this.#mismatch(value, 'float64', goPath, owner);
        return value;
      case 'any':
        return structuredClone(value);
    }
  }

  #special(model: Model, value: unknown, goPath: string, owner: string): unknown {
    switch (model.special) {
      case 'quantity': {
        const canonical = typeof value === 'string' || typeof value === 'number' ? canonicalQuantity(value) : undefined;
        if (canonical === undefined)
          throw new DecodeError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
        return canonical;
      }
      case 'intOrString':
        if (typeof value !== 'string' && !Number.isInteger(value))
          throw this.#mismatch(value, 'intstr.IntOrString', goPath, owner);
        return value;
      case 'time':
      case 'microTime': {
        if (typeof value !== 'string') throw this.#mismatch(value, 'string', goPath, owner);
        const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
        if (Number.isNaN(ms))
          throw new DecodeError(`parsing time "${value}" as "2006-01-02T15:04:05Z07:00": cannot parse "${value}" as "2006"`);
        if (model.special === 'time') return `${new Date(ms).toISOString().slice(0, 19)}Z`;
        const fraction = (/\.(\d+)/.exec(value)?.[1] ?? '').padEnd(6, '0').slice(0, 6);
        return `${new Date(ms).toISOString().slice(0, 19)}.${fraction}Z`;
      }
      default:
        return structuredClone(value);
    }
  }

  #mismatch(value: unknown, type: string, goPath: string, owner: string): DecodeError {
    const where = goPath ? `Go struct field ${owner}.${goPath}` : 'Go value';
    return new DecodeError(`json: cannot unmarshal ${jsonKind(value)} into ${where} of type ${type}`);
  }
}

function base64(text: string): string {
  const bad = /[^A-Za-z0-9+/=\r\n]/.exec(text);
  if (bad) throw new DecodeError(`illegal base64 data at input byte ${bad.index}`);
  const clean = text.replace(/[\r\n]/g, '');
  if (clean.length % 4 !== 0 || /=(?!=?$)/.test(clean))
    throw new DecodeError(`illegal base64 data at input byte ${clean.length & ~3}`);
  return clean;
}

const zeroOf = (type: FieldType): unknown => {
  if (type.kind === 'string' || type.kind === 'bytes') return '';
  if (type.kind === 'boolean') return false;
  if (type.kind === 'list') return [];
  return type.kind === 'map' || type.kind === 'model' ? {} : 0;
};

/** Go's `omitempty`: zero values are not written, unless the field is a pointer. Structs are always written. */
function isLeftOut(field: Field, value: unknown): boolean {
  if (!field.omitEmpty || field.nullable) return false;
  if (value === '' || value === false) return true;
  if (value === 0) return field.type.kind !== 'model';
  if (Array.isArray(value)) return value.length === 0;
  return field.type.kind === 'map' && Object.keys(value as object).length === 0;
}
