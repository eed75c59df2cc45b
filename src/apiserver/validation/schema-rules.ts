import { isJson, type Json } from '../object.ts';
import type { Field, Limits, Model } from '../schema/index.ts';
import type { FieldErrors } from './field-errors.ts';
import { checkLimits, checkRules } from './limits.ts';

/**
 * What the schema alone knows: required fields that are absent and values outside of an enumeration, in everything but status. Kinds with
 * rules of their own ask this too; a field told already is not told again. Of custom resources the schema knows all: limits, CEL, status.
 */
export function validateBySchema(model: Model, object: Json, errors: FieldErrors): void {
  const rules: (() => void)[] = [];
  const told = new Set(errors.causes.map(({ field }) => field));
  const walk = (at: Model, value: Json, path: string): void => {
    for (const field of at.fields.values()) {
      const here = path ? `${path}.${field.name}` : field.name;
      if (path === '' && (field.name === 'metadata' || (field.name === 'status' && !at.custom))) continue;
      const member = value[field.name];
      if (member === undefined) {
        if (field.required && (at.custom || mustBeThere(field)) && !told.has(here)) errors.required(here);
      } else check(field, member, here);
    }
    if (at.limits) limited(at.limits, value, path);
  };
  const limited = (limits: Limits, value: unknown, path: string): void => {
    checkLimits(limits, value, path, errors);
    if (limits.rules) rules.push(() => void checkRules(limits, value, path, errors));
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
    if (field.limits) limited(field.limits, value, path);
    if (field.itemLimits && Array.isArray(value))
      value.forEach((item, at) => void limited(field.itemLimits!, item, `${path}[${at}]`));
    if (field.listType === 'set' && Array.isArray(value))
      value.forEach((item, at) => {
        if (value.indexOf(item) < at) errors.duplicate(`${path}[${at}]`, item);
      });
    if (type.kind === 'model' && !type.model.special && isJson(value)) walk(type.model, value, path);
    else if (type.kind === 'list' && type.items.kind === 'model' && Array.isArray(value)) {
      const { model: items } = type.items;
      if (items.special) return;
      const keys = new Set<string>();
      value.forEach((item, at) => {
        if (!isJson(item)) return;
        walk(items, item, `${path}[${at}]`);
        if (!items.custom || field.mapKeys.length === 0) return;
        const key = JSON.stringify(Object.fromEntries(field.mapKeys.map((name) => [name, item[name]])));
        if (keys.has(key)) errors.duplicate(`${path}[${at}]`, JSON.parse(key));
        keys.add(key);
      });
    }
  };
  walk(model, object, '');
  // CEL is only asked of what is whole otherwise.
  if (!errors.any) for (const check of rules) check();
}

/** Go writes absent lists and numbers as null and 0, which the rules of the kind judge. */
const mustBeThere = ({ type }: Field): boolean =>
  type.kind === 'string' || (type.kind === 'model' && type.model.special === undefined);
