import { isJson, type Json } from '../object.ts';

/**
 * A set of paths into objects, as a tree. Steps are written as in FieldsV1: `f:<field>`, `k:<keys of an item of a list-map, JSON>`,
 * `v:<value of a list-set, JSON>`.
 */
export interface FieldSet {
  /** The path that ends here belongs to the set. */
  member: boolean;
  children: Map<string, FieldSet>;
}

export const emptySet = (): FieldSet => ({ member: false, children: new Map() });

export const isEmpty = (set: FieldSet): boolean => !set.member && set.children.size === 0;

/** The child at a step, made if missing. */
export function childOf(set: FieldSet, step: string): FieldSet {
  let child = set.children.get(step);
  if (!child) set.children.set(step, (child = emptySet()));
  return child;
}

/** metav1.FieldsV1: an empty object is a member, `.` marks a member that has others below. */
export function toFieldsV1(set: FieldSet): Json {
  const json: Json = {};
  if (set.member && set.children.size > 0) json['.'] = {};
  for (const [step, child] of set.children) json[step] = toFieldsV1(child);
  return json;
}

export function fromFieldsV1(json: unknown, root = true): FieldSet {
  const set = emptySet();
  if (!isJson(json)) return set;
  const steps = Object.keys(json);
  if (!root && steps.length === 0) set.member = true;
  for (const step of steps) {
    if (step === '.') set.member = true;
    else set.children.set(step, fromFieldsV1(json[step], false));
  }
  return set;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map(a.children);
  for (const [step, child] of b.children) {
    const mine = children.get(step);
    children.set(step, mine ? union(mine, child) : child);
  }
  return { member: a.member || b.member, children };
}

/** Members of `a` that are none of `b`. */
export function difference(a: FieldSet, b: FieldSet | undefined): FieldSet {
  if (!b) return a;
  const result: FieldSet = { member: a.member && !b.member, children: new Map() };
  for (const [step, child] of a.children) {
    const rest = difference(child, b.children.get(step));
    if (!isEmpty(rest)) result.children.set(step, rest);
  }
  return result;
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const result: FieldSet = { member: a.member && b.member, children: new Map() };
  for (const [step, child] of a.children) {
    const other = b.children.get(step);
    const both = other && intersection(child, other);
    if (both && !isEmpty(both)) result.children.set(step, both);
  }
  return result;
}

export function sameSet(a: FieldSet, b: FieldSet): boolean {
  if (a.member !== b.member || a.children.size !== b.children.size) return false;
  for (const [step, child] of a.children) {
    const other = b.children.get(step);
    if (!other || !sameSet(child, other)) return false;
  }
  return true;
}

/** The set with all that its members stand in: whoever owns a part of a list also has the list. */
export function withParents(set: FieldSet, root = true): FieldSet {
  const children = new Map([...set.children].map(([step, child]) => [step, withParents(child, false)] as const));
  return { member: set.member || (!root && children.size > 0), children };
}

/** Every member, parents before children. */
export function* members(set: FieldSet, path: readonly string[] = []): Generator<readonly string[]> {
  if (set.member) yield path;
  for (const [step, child] of set.children) yield* members(child, [...path, step]);
}

/** As conflicts name it: `.spec.template.spec.containers[name="web"].image` */
export function pathText(path: readonly string[]): string {
  return path
    .map((step) => {
      const rest = step.slice(2);
      if (step.startsWith('f:')) return `.${rest}`;
      if (step.startsWith('v:')) return `[=${rest}]`;
      if (step.startsWith('i:')) return `[${rest}]`;
      const keys = Object.entries(JSON.parse(rest) as Json).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      return `[${keys.join(',')}]`;
    })
    .join('');
}
