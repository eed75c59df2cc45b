/** A part of an object that cannot be understood: what is wrong, and the path of it. */
export class NotUnderstood extends Error {
  readonly at: string;

  constructor(at: string, what: string) {
    super(what);
    this.at = at;
  }
}

/** Fields that are there. In JSON null is absent, and so it is here. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * A mapping of known fields. What stands in an unknown one may limit what the others mean, so a part with one is not understood (NP19).
 * @throws NotUnderstood
 */
export function fields(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new NotUnderstood(at, `expected fields, found ${show(value)}`);
  const found = Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null && one !== undefined));
  const unknown = Object.keys(found).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new NotUnderstood(at, `unknown field ${unknown.map((name) => `"${name}"`).join(', ')}`);
  return found;
}

/** The one field that is set. @throws NotUnderstood when none is, or more than one, or an unknown one */
export function oneField(value: unknown, at: string, known: readonly string[]): [name: string, value: unknown] {
  const found = Object.entries(fields(value, at, known));
  if (found.length !== 1)
    throw new NotUnderstood(at, `expected one of ${known.join(', ')}, found ${found.map(([name]) => name).join(', ') || 'none'}`);
  return found[0]!;
}

/** @throws NotUnderstood when it is there and no list */
export function list(value: unknown, at: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new NotUnderstood(at, `expected a list, found ${show(value)}`);
  return value;
}

/** @throws NotUnderstood when it is no text, or empty */
export function text(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw new NotUnderstood(at, `expected a text, found ${show(value)}`);
  return value;
}

/** @throws NotUnderstood outside of `from` to `to` */
export function wholeNumber(value: unknown, at: string, from: number, to: number): number {
  if (!Number.isInteger(value) || (value as number) < from || (value as number) > to)
    throw new NotUnderstood(at, `expected a number from ${from} to ${to}, found ${show(value)}`);
  return value as number;
}

/** @throws NotUnderstood */
export function oneOf<T extends string>(value: unknown, at: string, known: readonly T[]): T {
  if (!known.includes(value as T)) throw new NotUnderstood(at, `expected ${known.join(', ')}, found ${show(value)}`);
  return value as T;
}

/** A value in a message: JSON, shortened. */
export function show(value: unknown): string {
  const json = value === undefined ? 'nothing' : JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
}
