import type { CustomResourceDefinition, StructuralSchema } from './crds.ts';
import type { Descriptions, FieldMarks, FieldRow, Limits, ModelRow, Table } from './table.ts';

/** `policy.networking.k8s.io` → `io.k8s.networking.policy`, as the server names models of custom resources. */
const modelName = (group: string, version: string, kind: string): string =>
  `${group.split('.').reverse().join('.')}.${version}.${kind}`;

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

/** The structural schemas of custom resources in the form of the table. Each object within becomes a model of its own, named by its path. */
export function modelsOfCrds(definitions: readonly CustomResourceDefinition[]): Pick<Table, 'models' | 'enums'> & {
  descriptions: Descriptions;
} {
  const models: Record<string, ModelRow> = {};
  const enums: Record<string, string[]> = {};
  const descriptions: Descriptions = {};

  /** The table's text for a type; limits of objects stand with their model, those of all else with the field. */
  const typeOf = (schema: StructuralSchema, path: string): string => {
    if (schema.type === 'array') return `[]${typeOf(schema.items!, path)}`;
    if (schema.type === 'object') {
      if (schema.additionalProperties) return `{}${typeOf(schema.additionalProperties, path)}`;
      addModel(schema, path);
      return path;
    }
    if (schema.type === 'integer') return schema.format === 'int32' ? 'int32' : 'int64';
    return schema.format === 'date-time' ? `${meta}.Time` : schema.type;
  };

  const fieldOf = (name: string, schema: StructuralSchema, path: string, required: boolean): FieldRow => {
    const here = `${path}.${name}`;
    const marks: FieldMarks = {};
    if (schema.type !== 'object' || schema.additionalProperties) Object.assign(marks, withLimits('limits', schema));
    if (schema.items && schema.items.type !== 'object') Object.assign(marks, withLimits('itemLimits', schema.items));
    if (schema['x-kubernetes-list-type']) marks.listType = schema['x-kubernetes-list-type'];
    if (schema['x-kubernetes-list-map-keys']) marks.mapKeys = schema['x-kubernetes-list-map-keys'];
    if (schema['x-kubernetes-map-type'] === 'atomic') marks.atomic = true;
    if (schema.default !== undefined) marks.default = schema.default;
    if (schema.enum) {
      enums[here] = schema.enum;
      marks.enum = here;
    }
    const row: FieldRow = [name, typeOf(schema, here), required ? 'r' : '', 0];
    if (Object.keys(marks).length > 0) row.push(marks);
    return row;
  };

  const addModel = (schema: StructuralSchema, path: string): ModelRow => {
    const { properties = {}, required = [] } = schema;
    const row: ModelRow = {
      custom: true,
      ...withLimits('limits', schema),
      ...(schema['x-kubernetes-map-type'] === 'atomic' ? { atomic: true as const } : {}),
      fields: Object.entries(properties).map(([name, one]) => fieldOf(name, one, path, required.includes(name))),
    };
    descriptions[path] = Object.fromEntries(
      [['', schema] as const, ...Object.entries(properties)].flatMap(([name, { description }]) =>
        description === undefined ? [] : [[name, description]],
      ),
    );
    return (models[path] = row);
  };

  for (const { spec } of definitions)
    for (const { name: version, schema } of spec.versions) {
      const { kind, listKind } = spec.names;
      const path = modelName(spec.group, version, kind);
      const { metadata: _metadata, ...properties } = schema.openAPIV3Schema.properties!;
      const row = addModel({ ...schema.openAPIV3Schema, properties }, path);
      row.gvk = [spec.group, version, kind];
      row.fields.splice(2, 0, ['metadata', `${meta}.ObjectMeta`, 'r', 0]);
      const typed = row.fields.slice(0, 2);
      models[`${path}List`] = {
        gvk: [spec.group, version, listKind],
        fields: [...typed, ['metadata', `${meta}.ListMeta`, '', 0], ['items', `[]${path}`, 'r', 0]],
      };
      descriptions[`${path}List`] = { '': `${listKind} is a list of ${kind}` };
    }
  return { models, enums, descriptions };
}

const limitNames = [
  ...(['minimum', 'maximum', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems'] as const),
  ...(['minProperties', 'maxProperties'] as const),
];

function withLimits<Name extends 'limits' | 'itemLimits'>(name: Name, schema: StructuralSchema): { [K in Name]?: Limits } {
  const limits: Limits = Object.fromEntries(
    limitNames.filter((limit) => schema[limit] !== undefined).map((limit) => [limit, schema[limit]]),
  );
  const rules = schema['x-kubernetes-validations'];
  if (rules) limits.rules = rules;
  return (Object.keys(limits).length > 0 ? { [name]: limits } : {}) as { [K in Name]?: Limits };
}
