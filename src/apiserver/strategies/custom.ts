import { isJson, type Json } from '../object.ts';
import type { Strategy } from '../registry/strategy.ts';
import { type FieldType, loadSchema, type Model } from '../schema/index.ts';

/** What all custom resources have in common: their schemas say the rest. */
export const custom: Strategy = {
  generation: true,
  defaults(object) {
    const [group = '', version = ''] = object.apiVersion.split('/');
    const model = loadSchema().kind(group, version, object.kind);
    if (model) fill(model, object);
  },
};

/** Defaults of fields whose parents are there, as structural defaulting does. */
function fill(model: Model, value: Json): void {
  for (const { name, type, default: given } of model.fields.values()) {
    if (value[name] === undefined && given !== undefined) value[name] = structuredClone(given);
    if (value[name] !== undefined) fillIn(type, value[name]);
  }
}

function fillIn(type: FieldType, value: unknown): void {
  if (type.kind === 'list' && Array.isArray(value)) for (const item of value) fillIn(type.items, item);
  else if (type.kind === 'model' && type.model.custom && isJson(value)) fill(type.model, value);
}
