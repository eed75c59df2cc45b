import { ApiError } from '../../kube/api.ts';
import { goQuote } from '../codec/go-format.ts';
import type { Cause } from '../errors.ts';

const show = (value: unknown): string => {
  if (typeof value === 'string') return goQuote(value);
  if (value === undefined || value === null) return 'null';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** Collects what is wrong with an object, in the words of apimachinery's util/validation/field. Paths as `spec.ports[0].port`. */
export class FieldErrors {
  readonly causes: Cause[] = [];

  invalid(field: string, value: unknown, detail: string): void {
    this.#add('FieldValueInvalid', field, `Invalid value: ${show(value)}${detail && `: ${detail}`}`);
  }

  required(field: string, detail = ''): void {
    this.#add('FieldValueRequired', field, `Required value${detail && `: ${detail}`}`);
  }

  notSupported(field: string, value: unknown, supported: readonly string[]): void {
    const values = [...supported].sort().map(goQuote).join(', ');
    this.#add('FieldValueNotSupported', field, `Unsupported value: ${show(value)}: supported values: ${values}`);
  }

  forbidden(field: string, detail: string): void {
    this.#add('FieldValueForbidden', field, `Forbidden: ${detail}`);
  }

  duplicate(field: string, value: unknown): void {
    this.#add('FieldValueDuplicate', field, `Duplicate value: ${show(value)}`);
  }

  notFound(field: string, value: unknown): void {
    this.#add('FieldValueNotFound', field, `Not found: ${show(value)}`);
  }

  tooLong(field: string, maxBytes: number): void {
    this.#add('FieldValueTooLong', field, `Too long: may not be more than ${maxBytes} bytes`);
  }

  tooMany(field: string, count: number, most: number): void {
    this.#add('FieldValueTooMany', field, `Too many: ${count}: must have at most ${most} items`);
  }

  get any(): boolean {
    return this.causes.length > 0;
  }

  /** The first few words about each, as one text. */
  get text(): string {
    const texts = [...new Set(this.causes.map(({ field, message }) => (field ? `${field}: ${message}` : message)))];
    return texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`;
  }

  /** @param of an empty kind names no object, as errors about patches do */
  toError(of: { group: string; kind: string }, name: string): ApiError {
    const kind = of.group ? `${of.kind}.${of.group}` : of.kind;
    return new ApiError(422, 'Invalid', `${kind} ${goQuote(name)} is invalid: ${this.text}`, {
      ...(name && { name }),
      ...(of.group && { group: of.group }),
      ...(of.kind && { kind: of.kind }),
      causes: this.causes,
    });
  }

  #add(reason: string, field: string, message: string): void {
    this.causes.push({ reason, message, field });
  }
}
