import { isJson, type Json } from '../object.ts';
import type { Field, Model } from '../schema/index.ts';
import type { FieldErrors } from './field-errors.ts';

/**
 * What the schema alone knows: required fields that are absent and values outside of an enumeration, in everything but status. Kinds with
 * rules of their own ask this too; a field told already is not told again.
 */
export function validateBySchema(model: Model, object: Json, errors: FieldErrors): void {
  const told = new Set(errors.causes.map(({ field }) => field));
  const walk = (at: Model, value: Json, path: string): void => {
    for (const field of at.fields.values()) {
      const here = path ? `${path}.${field.name}` : field.name;
      if (path === '' && (field.name === 'status' || field.name === 'metadata')) continue;
      const member = value[field.name];
      if (member === undefined) {
        if (field.required && mustBeThere(field) && !told.has(here)) errors.required(here);
      } else check(field, member, here);
    }
  };
  const check = (field: Field, value: unknown, path: string): void => {
    if (field.enum) {
      const { enum: allowed } = field;
      const values = Array.isArray(value) ? value : [value];
      values.forEach((one, at) => {
        const here = Array.isArray(value) ? `${path}[${at}]` : path;
        if (typeof one === 'string' && !allowed.includes(one) && !told.has(here)) errors.notSupported(here, one, allowed);
      });
      return;
    }
    const { type } = field;
    if (type.kind === 'model' && !type.model.special && isJson(value)) walk(type.model, value, path);
    else if (type.kind === 'list' && type.items.kind === 'model' && Array.isArray(value)) {
      const { model: items } = type.items;
      if (items.special) return;
      value.forEach((item, at) => {
        if (isJson(item)) walk(items, item, `${path}[${at}]`);
      });
    }
  };
  walk(model, object, '');
}

/** Go writes absent lists and numbers as null and 0, which the rules of the kind judge. */
const mustBeThere = ({ type }: Field): boolean =>
  type.kind === 'string' || (type.kind === 'model' && type.model.special === undefined);
