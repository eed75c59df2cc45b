import type { Descriptions, FieldMarks, FieldRow, ModelRow, Table } from '../table.ts';
import type { GoField, GoPackage, GoType } from './go.ts';

const machinery = 'k8s.io/apimachinery/pkg/';

/** Types of other packages whose JSON form is not their Go form. They are models without fields; index.ts knows their forms. */
const special = new Map([
  [`${machinery}api/resource.Quantity`, 'io.k8s.apimachinery.pkg.api.resource.Quantity'],
  [`${machinery}util/intstr.IntOrString`, 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'],
  [`${machinery}runtime.RawExtension`, 'io.k8s.apimachinery.pkg.runtime.RawExtension'],
  [`${machinery}apis/meta/v1.Time`, 'io.k8s.apimachinery.pkg.apis.meta.v1.Time'],
  [`${machinery}apis/meta/v1.MicroTime`, 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime'],
  [`${machinery}apis/meta/v1.FieldsV1`, 'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1'],
  [`${machinery}apis/meta/v1.Duration`, 'string'],
]);

const scalars = new Map([
  ['string', 'string'],
  ['bool', 'boolean'],
  ['int', 'int64'],
  ['int32', 'int32'],
  ['int64', 'int64'],
  ['uint16', 'int32'],
  ['float64', 'float64'],
  ['[]byte', 'bytes'],
]);

/** k8s.io/api/core/v1 → io.k8s.api.core.v1, as openapi-gen names models. */
const modelPrefix = (importPath: string): string => importPath.replace(/^k8s\.io/, 'io.k8s').replaceAll('/', '.');

export class ModelBuilder {
  readonly table: Table;
  readonly descriptions: Descriptions = {};
  readonly #packages: Map<string, GoPackage>;

  constructor(version: string, packages: GoPackage[]) {
    this.table = { version, models: {}, enums: {} };
    this.#packages = new Map(packages.map((pkg) => [pkg.path, pkg]));
    for (const name of special.values()) if (name !== 'string') this.table.models[name] = { fields: [] };
    for (const pkg of packages)
      for (const type of pkg.types.values())
        if (type.fields.length > 0 && !special.has(`${pkg.path}.${type.name}`)) this.#model(type);
  }

  #model(type: GoType): void {
    const { pkg } = type;
    const name = `${modelPrefix(pkg.path)}.${type.name}`;
    const row: ModelRow = { fields: type.fields.filter(({ json }) => json !== '-').map((field) => this.#field(type, field)) };
    if (row.fields.some(([json, model]) => json === '' && model.endsWith('.meta.v1.TypeMeta')))
      row.gvk = [pkg.group, pkg.version, type.name];
    if (type.markers.has('structType') || type.markers.has('mapType')) row.atomic = true;
    this.table.models[name] = row;
    const docs = pkg.docs.get(type.name);
    if (docs) this.descriptions[name] = Object.fromEntries(docs);
    else if (type.comment) this.descriptions[name] = { '': type.comment };
  }

  #field(type: GoType, field: GoField): FieldRow {
    const marks: FieldMarks = {};
    const marker = (name: string): string | undefined => field.markers.get(name)?.[0];
    if (field.patchMergeKey) marks.mergeKey = field.patchMergeKey;
    if (field.patchStrategy) marks.strategy = field.patchStrategy;
    const listType = marker('listType');
    if (listType === 'map' || listType === 'set' || listType === 'atomic') marks.listType = listType;
    const keys = field.markers.get('listMapKey');
    if (keys) marks.mapKeys = keys;
    if (marker('structType') === 'atomic' || marker('mapType') === 'atomic') marks.atomic = true;
    const value = marker('default');
    if (value !== undefined && !value.startsWith('ref(')) marks.default = JSON.parse(value);
    const resolved = this.#resolve(type.pkg, field.goType);
    if (resolved.enum) marks.enum = resolved.enum;
    const pointer = field.goType.startsWith('*');
    const required = field.json !== '' && !field.markers.has('optional') && (!field.omitempty || field.markers.has('required'));
    const flags = `${required ? 'r' : ''}${field.omitempty ? 'o' : ''}${pointer ? 'p' : ''}`;
    const row: FieldRow = [field.json, resolved.type, flags, field.number ?? 0];
    if (Object.keys(marks).length > 0) row.push(marks);
    return row;
  }

  /** The table's text for a Go type as written in `pkg`. */
  #resolve(pkg: GoPackage, goType: string): { type: string; enum?: string } {
    const text = goType.replace(/^\*/, '');
    const scalar = scalars.get(text);
    if (scalar) return { type: scalar };
    if (text.startsWith('[]')) {
      const item = this.#resolve(pkg, text.slice(2));
      return { ...item, type: `[]${item.type}` };
    }
    if (text.startsWith('map[')) return { type: `{}${this.#resolve(pkg, text.slice(text.indexOf(']') + 1)).type}` };
    const dot = text.indexOf('.');
    const path = dot < 0 ? pkg.path : (pkg.imports.get(text.slice(0, dot)) ?? '?');
    const name = text.slice(dot + 1);
    const known = special.get(`${path}.${name}`);
    if (known) return { type: known };
    if (path === `${machinery}types`) return { type: 'string' };
    const other = this.#packages.get(path)?.types.get(name);
    if (!other) throw new Error(`${pkg.path}: type ${goType} is declared in ${path}, which is not among the packages read`);
    if (other.underlying === undefined) return { type: `${modelPrefix(path)}.${name}` };
    const base = this.#resolve(other.pkg, other.underlying);
    if (other.markers.has('protobuf.nullable')) return { type: `@${base.type}` };
    const values = other.pkg.constants.get(name);
    if (base.type !== 'string' || !other.markers.has('enum') || !values) return base;
    const enumName = `${modelPrefix(path)}.${name}`;
    this.table.enums[enumName] ??= [...new Set(values)].sort();
    return { type: 'string', enum: enumName };
  }
}
