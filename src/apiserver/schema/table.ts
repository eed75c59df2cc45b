/**
 * The shape of data/models.json.gz, written by generate.ts and read by index.ts, which adds to it what structural.ts makes of data/crds.json.gz: every model of the Kubernetes API as one row per field.
 *
 * Types are written as text: `string`, `boolean`, `int32`, `int64`, `float64`, `bytes` (base64 in JSON), `any` (arbitrary JSON), a model's
 * name (`io.k8s.api.core.v1.Pod`), or one of those after `[]` (list) and `{}` (map by string), as often as needed. In protobuf, `@` before
 * a type marks a list that travels as a message of its own with the items in field 1 (`ExtraValue`).
 */
export interface Table {
  /** Kubernetes release, e.g. `1.36`. */
  version: string;
  models: Record<string, ModelRow>;
  /** Values of `+enum` string types, by model-like name. */
  enums: Record<string, string[]>;
}

export interface ModelRow {
  /** [group, version, kind] of a type that is sent by itself. */
  gvk?: [string, string, string];
  /** `x-kubernetes-map-type: atomic` */
  atomic?: true;
  /** Of a custom resource: everything about it stands in its schema. OpenAPI writes it where it is used, not as a definition of its own. */
  custom?: true;
  limits?: Limits;
  fields: FieldRow[];
}

/** What a value must keep to, by the names that JSON schema has for it. */
export interface ValueLimits {
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
}

export interface Limits extends ValueLimits {
  /** x-kubernetes-validations: CEL, with the text for who breaks it. */
  rules?: { rule: string; message?: string }[];
}

/**
 * [JSON name, type, flags, protobuf field number (0: none), marks]. A name of '' inlines the fields of the type's model (in protobuf they
 * stand in a nested message). Flags: `r` required, `o` the zero value is left out of JSON (omitempty), `p` pointer (zero is a value).
 */
export type FieldRow = [name: string, type: string, flags: string, number: number, marks?: FieldMarks];

/** What kubectl and the server need to merge and to check a field. */
export interface FieldMarks {
  /** x-kubernetes-patch-merge-key */
  mergeKey?: string;
  /** x-kubernetes-patch-strategy: `merge`, `replace`, `retainKeys`, or two with a comma. */
  strategy?: string;
  /** x-kubernetes-list-type */
  listType?: 'map' | 'set' | 'atomic';
  /** x-kubernetes-list-map-keys */
  mapKeys?: string[];
  /** x-kubernetes-map-type: atomic, of one field. */
  atomic?: true;
  default?: unknown;
  /** Name in `enums`. */
  enum?: string;
  limits?: Limits;
  /** Of each item of a list of scalars. */
  itemLimits?: Limits;
}

/** data/descriptions.json.gz: model → field ('' for the model itself) → text. */
export type Descriptions = Record<string, Record<string, string>>;
