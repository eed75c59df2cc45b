import type { FieldRow, Limits, Table } from './table.ts';

/** How a field's value looks in JSON. */
export type FieldType =
  | { kind: 'string' | 'boolean' | 'int32' | 'int64' | 'float64' | 'bytes' | 'any' }
  | { kind: 'list'; items: FieldType }
  | { kind: 'map'; values: FieldType }
  | { kind: 'model'; model: Model };

/**
 * Models whose JSON form is not an object of fields: `quantity` (string, or a number in requests), `intOrString`, `time` (RFC 3339,
 * seconds), `microTime` (RFC 3339 with six digits), `any` (arbitrary JSON object: FieldsV1, RawExtension).
 */
export type Special = 'quantity' | 'intOrString' | 'time' | 'microTime' | 'any';

const machinery = 'io.k8s.apimachinery.pkg.';
const specials: ReadonlyMap<string, Special> = new Map([
  [`${machinery}api.resource.Quantity`, 'quantity'],
  [`${machinery}util.intstr.IntOrString`, 'intOrString'],
  [`${machinery}apis.meta.v1.Time`, 'time'],
  [`${machinery}apis.meta.v1.MicroTime`, 'microTime'],
  [`${machinery}apis.meta.v1.FieldsV1`, 'any'],
  [`${machinery}runtime.RawExtension`, 'any'],
]);

/** The form of a model that is no object of fields; undefined for ordinary models. */
export const specialOf = (name: string): Special | undefined => specials.get(name);

/** A field of a model as clients see it: inlined structs are flattened. */
export interface Field {
  name: string;
  type: FieldType;
  required: boolean;
  /** JSON leaves the zero value out. */
  omitEmpty: boolean;
  /** The zero value differs from absence. */
  nullable: boolean;
  /** Strategic merge patch: `merge` by `mergeKey` (lists of objects) or as a set (lists of scalars); absent: replaced. */
  strategies: readonly string[];
  mergeKey?: string;
  /** Server-side apply: absent means atomic for lists. */
  listType?: 'map' | 'set' | 'atomic';
  mapKeys: readonly string[];
  /** Server-side apply treats the value as one (x-kubernetes-map-type: atomic), of the field or of its type. */
  atomic: boolean;
  default?: unknown;
  /** The values allowed, of enum types. */
  enum?: readonly string[];
  limits?: Limits;
  /** Of each item of a list of scalars. */
  itemLimits?: Limits;
}

/** One type of the Kubernetes API. */
export class Model {
  /** As in OpenAPI: `io.k8s.api.core.v1.Pod`. */
  readonly name: string;
  /** [group, version, kind] of types that are sent by themselves. */
  readonly gvk?: readonly [group: string, version: string, kind: string];
  readonly special?: Special;
  readonly atomic: boolean;
  /** Of a custom resource: a value is checked against the schema, and nothing else knows rules for it. */
  readonly custom: boolean;
  readonly limits?: Limits;
  readonly #rows: FieldRow[];
  readonly #build: (rows: FieldRow[]) => Map<string, Field>;
  #fields?: Map<string, Field>;

  constructor(name: string, table: Table, build: (rows: FieldRow[]) => Map<string, Field>) {
    const row = table.models[name]!;
    this.name = name;
    this.gvk = row.gvk;
    this.special = specials.get(name);
    this.atomic = row.atomic ?? false;
    this.custom = row.custom ?? false;
    this.limits = row.limits;
    this.#rows = row.fields;
    this.#build = build;
  }

  /** By JSON name, in the order of the Go struct. Empty for special models. */
  get fields(): ReadonlyMap<string, Field> {
    return (this.#fields ??= this.#build(this.#rows));
  }
}
