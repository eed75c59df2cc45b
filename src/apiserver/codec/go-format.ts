import { isJson } from '../object.ts';

/** A string as Go's %q. */
export const goQuote = (text: string): string =>
  `"${text.replace(/["\\\n\r\t]/g, (c) => ({ '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c]!)}"`;

/** JSON as Go's %+v prints a map[string]interface{}. */
export function goMap(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goMap).join(' ')}]`;
  if (!isJson(value)) return String(value);
  const members = Object.keys(value)
    .sort()
    .map((name) => `${name}:${goMap(value[name])}`);
  return `map[${members.join(' ')}]`;
}
