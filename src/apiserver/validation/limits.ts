import { isJson } from '../object.ts';
import type { Limits } from '../schema/index.ts';
import { celRules } from './cel-rules.ts';
import type { FieldErrors } from './field-errors.ts';

/** Whether a value keeps to the limits of a custom resource's schema, told in the words of the real server. */
export function checkLimits(limits: Limits, value: unknown, path: string, errors: FieldErrors): void {
  const inBody = (text: string): void => errors.invalid(path, value, `${path} in body ${text}`);
  if (typeof value === 'number') {
    const { minimum = -Infinity, maximum = Infinity } = limits;
    if (value < minimum) inBody(`should be greater than or equal to ${minimum}`);
    if (value > maximum) inBody(`should be less than or equal to ${maximum}`);
  } else if (typeof value === 'string') {
    const { minLength = 0, maxLength = Infinity, pattern } = limits;
    const length = [...value].length;
    if (length < minLength) inBody(`should be at least ${minLength} chars long`);
    if (length > maxLength) errors.tooLong(path, maxLength);
    if (pattern !== undefined && !new RegExp(pattern).test(value)) inBody(`should match '${pattern}'`);
  } else if (Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity } = limits;
    if (value.length < minItems) errors.invalid(path, value.length, `${path} in body should have at least ${minItems} items`);
    if (value.length > maxItems) errors.tooMany(path, value.length, maxItems);
  } else if (isJson(value)) {
    const { minProperties = 0, maxProperties = Infinity } = limits;
    const count = Object.keys(value).length;
    if (count < minProperties) errors.invalid(path, count, `${path} in body should have at least ${minProperties} properties`);
    if (count > maxProperties) errors.tooMany(path, count, maxProperties);
  }
}

/** x-kubernetes-validations. */
export function checkRules({ rules = [] }: Limits, value: unknown, path: string, errors: FieldErrors): void {
  for (const { rule, message } of rules)
    if (!celRules.get(rule)!(value))
      errors.invalid(path || '<nil>', isJson(value) ? 'object' : value, message ?? `failed rule: ${rule}`);
}
