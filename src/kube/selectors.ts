import type { LabelSelector } from './types.ts';

export type Labels = Readonly<Record<string, string>> | undefined;

/** One requirement of a label selector. `values` is sorted and empty for `Exists` and `DoesNotExist`. */
export interface Requirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values: readonly string[];
}

/** All requirements must hold; without any, everything matches. */
export type Selector = readonly Requirement[];

const operators: readonly string[] = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'];

/**
 * Whether labels meet one requirement, as apimachinery's labels.Requirement.Matches: `NotIn` and `!=` hold for a label that is
 * absent; `Gt` and `Lt` compare integers and fail on anything else.
 */
export function meets(requirement: Requirement, labels: Labels): boolean {
  const { key, operator, values } = requirement;
  const value = labels && Object.hasOwn(labels, key) ? labels[key] : undefined;
  if (operator === 'Exists') return value !== undefined;
  if (operator === 'DoesNotExist') return value === undefined;
  if (operator === 'In') return value !== undefined && isAmong(value, values);
  if (operator === 'NotIn') return value === undefined || !isAmong(value, values);
  if (value === undefined || !/^-?\d+$/.test(value) || !/^-?\d+$/.test(values[0] ?? '')) return false;
  return operator === 'Gt' ? BigInt(value) > BigInt(values[0]!) : BigInt(value) < BigInt(values[0]!);
}

/** Values are sorted: many of them are asked by halves. */
function isAmong(value: string, values: readonly string[]): boolean {
  if (values.length <= 16) return values.includes(value);
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return values[low] === value;
}

export const matches = (selector: Selector, labels: Labels): boolean =>
  selector.every((requirement) => meets(requirement, labels));

/**
 * A LabelSelector object as requirements. An absent selector selects nothing (`undefined`), an empty one everything.
 * @throws SyntaxError on an operator that does not exist or does not fit its values
 */
export function fromLabelSelector(selector: LabelSelector | undefined): Selector | undefined {
  if (!selector) return undefined;
  const all = fromMap(selector.matchLabels ?? {});
  for (const { key, operator, values } of selector.matchExpressions ?? []) all.push(requirement(key, operator, values ?? []));
  return all;
}

/** `matchLabels`, a Service's or a ReplicationController's selector: all of them, exactly. */
export const fromMap = (labels: Record<string, string>): Requirement[] =>
  Object.entries(labels).map(([key, value]) => ({ key, operator: 'In' as const, values: [value] }));

/** @throws SyntaxError */
export function requirement(key: string, operator: string, values: readonly string[]): Requirement {
  if (!operators.includes(operator))
    throw new SyntaxError(`"${operator}" is not a valid selector operator; valid are ${operators.join(', ')}`);
  const wantsNone = operator === 'Exists' || operator === 'DoesNotExist';
  if (wantsNone && values.length > 0) throw new SyntaxError(`operator ${operator} of "${key}" takes no values`);
  if (!wantsNone && values.length === 0) throw new SyntaxError(`operator ${operator} of "${key}" needs values`);
  if ((operator === 'Gt' || operator === 'Lt') && (values.length !== 1 || !/^-?\d+$/.test(values[0]!)))
    throw new SyntaxError(`operator ${operator} of "${key}" needs one integer`);
  return { key, operator: operator as Requirement['operator'], values: [...values].sort() };
}

/**
 * The string form: `a=b,c!=d,e in (x,y),f notin (z),g,!h`; also `==`, `>`, `<`.
 * @throws SyntaxError with the input and the position
 */
export function parseSelector(text: string): Selector {
  const all: Requirement[] = [];
  let rest = text.trimStart();
  const fail = (expected: string): never => {
    throw new SyntaxError(
      `unable to parse requirement of selector "${text}": expected ${expected} at position ${text.length - rest.length}`,
    );
  };
  const take = (pattern: RegExp): string | undefined => {
    const found = pattern.exec(rest);
    if (!found) return undefined;
    rest = rest.slice(found[0].length).trimStart();
    return found[1] ?? '';
  };
  const word = /^([A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?)/;
  const valueWord = /^([A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?|)(?=\s*(?:[,)]|$))/;
  while (rest !== '') {
    const negated = take(/^(!)(?!=)/) !== undefined;
    const key = take(word) ?? fail('a label key');
    let operator: string | undefined;
    if (negated) all.push({ key, operator: 'DoesNotExist', values: [] });
    else if ((operator = take(/^(==|=|!=|>|<|in\b|notin\b)/)) === undefined) all.push({ key, operator: 'Exists', values: [] });
    else if (operator === 'in' || operator === 'notin') {
      if (take(/^(\()/) === undefined) fail('"("');
      const values: string[] = [];
      do values.push(take(valueWord) ?? fail('a label value'));
      while (take(/^(,)/) !== undefined);
      if (take(/^(\))/) === undefined) fail('")" or ","');
      all.push(requirement(key, operator === 'in' ? 'In' : 'NotIn', values));
    } else {
      const value = take(valueWord) ?? fail('a label value');
      const named = operator === '!=' ? 'NotIn' : operator === '>' ? 'Gt' : operator === '<' ? 'Lt' : 'In';
      all.push(requirement(key, named, [value]));
    }
    if (rest !== '' && take(/^(,)/) === undefined) fail('"," or the end');
    else if (rest === '' && /,\s*$/.test(text)) fail('a label key');
  }
  return all;
}

/** The string form of a selector, which `parseSelector` reads back. */
export function formatSelector(selector: Selector): string {
  return selector
    .map(({ key, operator, values }) => {
      if (operator === 'Exists') return key;
      if (operator === 'DoesNotExist') return `!${key}`;
      if (operator === 'Gt') return `${key}>${values[0]}`;
      if (operator === 'Lt') return `${key}<${values[0]}`;
      if (values.length === 1) return `${key}${operator === 'In' ? '=' : '!='}${values[0]}`;
      return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
    })
    .join(',');
}

/** One term of a field selector; `path` as `spec.nodeName`. */
export interface FieldTerm {
  path: string;
  equal: boolean;
  value: string;
}

/**
 * `metadata.name=a,spec.nodeName!=b`; `\`, `,` and `=` in values are escaped by `\`.
 * @throws SyntaxError
 */
export function parseFieldSelector(text: string): FieldTerm[] {
  const parts = text.split(/(?<!\\),/).filter((part) => part !== '');
  return parts.map((part) => {
    const found = /^([^=!]+?)(==|=|!=)(.*)$/s.exec(part);
    if (!found) throw new SyntaxError(`invalid field selector "${text}": expected FIELD=VALUE or FIELD!=VALUE, found "${part}"`);
    return { path: found[1]!.trim(), equal: found[2] !== '!=', value: found[3]!.replace(/\\([\\,=])/g, '$1') };
  });
}

/** The value at a dotted path as the text that field selectors compare: '' when absent. */
export function fieldValue(object: unknown, path: string): string {
  let at = object;
  for (const step of path.split('.')) at = at && typeof at === 'object' ? (at as Record<string, unknown>)[step] : undefined;
  return at === undefined || at === null ? '' : String(at);
}

export const matchesFields = (terms: readonly FieldTerm[], object: unknown): boolean =>
  terms.every(({ path, equal, value }) => (fieldValue(object, path) === value) === equal);
