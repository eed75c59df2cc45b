import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { servedCrds } from './crds.ts';
import { type Field, type FieldType, Model } from './model.ts';
import { modelsOfCrds } from './structural.ts';
import type { Descriptions, FieldRow, Table } from './table.ts';

export type { Field, FieldType, Special } from './model.ts';
export { Model } from './model.ts';
export type { Limits } from './table.ts';

// Read relative to the package root; the depth below it is the same in src/ and in the output folder.
const read = (name: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(new URL(`../../../src/apiserver/schema/data/${name}`, import.meta.url))).toString('utf8'));

/** Every type of the Kubernetes API that podnet knows. Models are made when first asked for. */
export class Schema {
  readonly table: Table;
  readonly #models = new Map<string, Model>();
  readonly #byKind = new Map<string, string>();
  #descriptions?: Descriptions;

  constructor(table: Table) {
    this.table = table;
    for (const [name, { gvk }] of Object.entries(table.models)) {
      // DeleteOptions and the like stand in meta/v1 and belong to every group.
      if (gvk && !name.startsWith('io.k8s.apimachinery.')) this.#byKind.set(gvk.join('/'), name);
    }
  }

  /** By its OpenAPI name, e.g. `io.k8s.api.core.v1.Pod`. */
  model(name: string): Model | undefined {
    let model = this.#models.get(name);
    if (!model && Object.hasOwn(this.table.models, name)) {
      model = new Model(name, this.table, (rows) => this.#fields(rows));
      this.#models.set(name, model);
    }
    return model;
  }

  /** By what an object's `apiVersion` and `kind` say; the kinds of meta/v1 (Status, DeleteOptions …) are found under group '' version v1. */
  kind(group: string, version: string, kind: string): Model | undefined {
    const name = this.#byKind.get(`${group}/${version}/${kind}`);
    if (name) return this.model(name);
    const meta = group === '' && version === 'v1' ? this.model(`io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`) : undefined;
    return meta?.gvk ? meta : undefined;
  }

  /** Documentation of a model (no field) or of one of its fields, as kubectl explain prints it. */
  description(model: string, field = ''): string | undefined {
    this.#descriptions ??= { ...(read('descriptions.json.gz') as Descriptions), ...modelsOfCrds(servedCrds()).descriptions };
    const own = Object.hasOwn(this.#descriptions, model) ? this.#descriptions[model] : undefined;
    if (own && Object.hasOwn(own, field)) return own[field];
    if (field === '') return undefined;
    for (const [name, inlined] of this.table.models[model]?.fields ?? []) {
      const text = name === '' ? this.description(inlined, field) : undefined;
      if (text !== undefined) return text;
    }
    return undefined;
  }

  #fields(rows: FieldRow[]): Map<string, Field> {
    const fields = new Map<string, Field>();
    for (const [name, typeText, flags, , marks = {}] of rows) {
      if (name === '') {
        for (const field of this.model(typeText)!.fields.values()) fields.set(field.name, field);
        continue;
      }
      const type = this.#type(typeText);
      fields.set(name, {
        name,
        type,
        required: flags.includes('r'),
        omitEmpty: flags.includes('o'),
        nullable: flags.includes('p'),
        strategies: marks.strategy?.split(',') ?? [],
        mergeKey: marks.mergeKey,
        listType: marks.listType,
        mapKeys: marks.mapKeys ?? [],
        atomic: marks.atomic ?? (type.kind === 'model' && type.model.atomic),
        default: marks.default,
        enum: marks.enum === undefined ? undefined : this.table.enums[marks.enum],
        limits: marks.limits,
        itemLimits: marks.itemLimits,
      });
    }
    return fields;
  }

  #type(text: string): FieldType {
    if (text.startsWith('@')) return this.#type(text.slice(1));
    if (text.startsWith('[]')) return { kind: 'list', items: this.#type(text.slice(2)) };
    if (text.startsWith('{}')) return { kind: 'map', values: this.#type(text.slice(2)) };
    const model = this.model(text);
    return model ? { kind: 'model', model } : { kind: text as 'string' };
  }
}

let loaded: Schema | undefined;

/** The schema of the Kubernetes release that podnet serves. Read from disk at the first call (a few milliseconds). */
export function loadSchema(): Schema {
  if (loaded) return loaded;
  const { version, models, enums } = read('models.json.gz') as Table;
  const custom = modelsOfCrds(servedCrds());
  return (loaded = new Schema({ version, models: { ...models, ...custom.models }, enums: { ...enums, ...custom.enums } }));
}
