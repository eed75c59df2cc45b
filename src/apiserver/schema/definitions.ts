import type { Field, FieldType, Model, Schema, Special } from './index.ts';
import type { Limits } from './table.ts';

/** A JSON schema node of either OpenAPI version. */
export type JsonSchema = Record<string, unknown>;

/** Where the two versions of OpenAPI differ. */
export interface Dialect {
  /** `#/definitions/` or `#/components/schemas/` */
  prefix: string;
  version: 2 | 3;
}

const scalars: Record<string, JsonSchema> = {
  string: { type: 'string' },
  boolean: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  float64: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
  any: {},
};

function specialSchema(special: Special, { version }: Dialect): JsonSchema {
  switch (special) {
    case 'quantity':
      return version === 2 ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] };
    case 'intOrString':
      return version === 2
        ? { type: 'string', format: 'int-or-string' }
        : { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
    case 'time':
    case 'microTime':
      return { type: 'string', format: 'date-time' };
    case 'any':
      return { type: 'object' };
  }
}

function typeSchema(schema: Schema, type: FieldType, dialect: Dialect): JsonSchema {
  switch (type.kind) {
    case 'list':
      return { type: 'array', items: typeSchema(schema, type.items, dialect) };
    case 'map':
      return { type: 'object', additionalProperties: typeSchema(schema, type.values, dialect) };
    case 'model': {
      if (isInlined(type.model)) return definition(schema, type.model, dialect);
      const $ref = `${dialect.prefix}${type.model.name}`;
      // OpenAPI v3 ignores what stands beside a $ref, hence allOf, as the real server writes it.
      return dialect.version === 2 ? { $ref } : { allOf: [{ $ref }] };
    }
    default:
      return { ...scalars[type.kind] };
  }
}

function fieldSchema(schema: Schema, model: Model, field: Field, dialect: Dialect): JsonSchema {
  const node: JsonSchema = typeSchema(schema, field.type, dialect);
  const description = schema.description(model.name, field.name);
  if (description) node.description = description;
  if (field.default !== undefined && dialect.version === 3) node.default = field.default;
  if (field.enum && dialect.version === 3) node.enum = field.enum;
  Object.assign(node, limitsSchema(field.limits, dialect));
  if (field.itemLimits) Object.assign(node.items as JsonSchema, limitsSchema(field.itemLimits, dialect));
  if (field.listType) node['x-kubernetes-list-type'] = field.listType;
  if (field.mapKeys.length > 0) node['x-kubernetes-list-map-keys'] = field.mapKeys;
  if (field.atomic && field.type.kind === 'map') node['x-kubernetes-map-type'] = 'atomic';
  if (field.mergeKey) node['x-kubernetes-patch-merge-key'] = field.mergeKey;
  if (field.strategies.length > 0) node['x-kubernetes-patch-strategy'] = field.strategies.join(',');
  return node;
}

/** As for enums and defaults, the second version's documents, which old clients read, go without. */
function limitsSchema(limits: Limits | undefined, { version }: Dialect): JsonSchema {
  if (!limits || version === 2) return {};
  const { rules, ...plain } = limits;
  return { ...plain, ...(rules ? { 'x-kubernetes-validations': rules } : {}) };
}

/** Objects within a custom resource have no name of their own. */
const isInlined = (model: Model): boolean => model.custom && !model.gvk;

/** One model as a JSON schema. */
export function definition(schema: Schema, model: Model, dialect: Dialect): JsonSchema {
  const description = schema.description(model.name);
  const head: JsonSchema = description ? { description } : {};
  if (model.special) return { ...head, ...specialSchema(model.special, dialect) };
  const fields = [...model.fields.values()];
  const required = fields.filter((field) => field.required).map((field) => field.name);
  const node: JsonSchema = { ...head, type: 'object' };
  if (required.length > 0) node.required = required;
  node.properties = Object.fromEntries(fields.map((field) => [field.name, fieldSchema(schema, model, field, dialect)]));
  if (model.gvk) node['x-kubernetes-group-version-kind'] = [gvkObject(model.gvk)];
  Object.assign(node, limitsSchema(model.limits, dialect));
  if (model.atomic) node['x-kubernetes-map-type'] = 'atomic';
  return node;
}

export const gvkObject = ([group, version, kind]: readonly [string, string, string]): JsonSchema => ({ group, kind, version });

/** `models` and all they refer to. */
export function closure(models: Iterable<Model>): Model[] {
  const seen = new Set<Model>();
  const visitType = (type: FieldType): void => {
    if (type.kind === 'list') visitType(type.items);
    else if (type.kind === 'map') visitType(type.values);
    else if (type.kind === 'model') visit(type.model);
  };
  const visit = (model: Model): void => {
    if (seen.has(model)) return;
    seen.add(model);
    for (const field of model.fields.values()) visitType(field.type);
  };
  for (const model of models) visit(model);
  return [...seen].filter((model) => !isInlined(model)).sort((a, b) => (a.name < b.name ? -1 : 1));
}
