import { allowedText, type Matrix, type MatrixCell } from '../policy/matrix.ts';
import { printable, type Style, table } from './output.ts';

/** Senders down, receivers across by number; what is neither all nor nothing has a letter, told below. */
export function matrixText({ ends, cells: all }: Matrix, style: Style): string {
  const cells = [...all];
  if (cells.length === 0) return 'there are no two of whom policies could say anything';
  const letters = new Map<string, string>();
  const at = new Map(cells.map((cell) => [`${cell.from}\n${cell.to}`, cell]));
  const mark = (cell: MatrixCell | undefined): string => {
    if (!cell) return style.paint('dim', '·');
    const text = allowedText(cell.allowed);
    if (text === 'all') return style.paint('green', '✓');
    if (text === 'nothing') return style.paint('red', '✗');
    const letter = letters.get(text) ?? letterOf(letters.size);
    letters.set(text, letter);
    return style.paint('yellow', letter);
  };
  const rows = ends.map(({ label }, index) => [
    `${index + 1}`,
    printable(label),
    ...ends.map((to) => mark(at.get(`${label}\n${to.label}`))),
  ]);
  const grid = table(['#', 'FROM \\ TO', ...ends.map((_, index) => `${index + 1}`)], rows, [0]);
  const legend = [
    `${style.paint('green', '✓')} all   ${style.paint('red', '✗')} nothing   ${style.paint('dim', '·')} no policy can be about it`,
    ...[...letters].map(([text, letter]) => `${style.paint('yellow', letter)} ${printable(text)}`),
  ];
  return `${grid}\n\n${legend.join('\n')}`;
}

/** a to z, then aa, ab, ... */
const letterOf = (index: number): string =>
  index < 26 ? String.fromCharCode(97 + index) : `${letterOf(Math.floor(index / 26) - 1)}${letterOf(index % 26)}`;

/** A line for each pair, RFC 4180; part by part, since it may be longer than a text can be. */
export function* matrixCsv({ cells }: Matrix): Iterable<string> {
  yield 'from,to,allowed\r\n';
  const known = new Map<MatrixCell['allowed'], string>();
  for (const { from, to, allowed } of cells) {
    const text = known.get(allowed) ?? csvField(allowedText(allowed));
    known.set(allowed, text);
    yield `${csvField(from)},${csvField(to)},${text}\r\n`;
  }
}

/** A spreadsheet takes what begins with =, +, - or @ for a formula: names of users must not become one. */
function csvField(text: string): string {
  const safe = /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** As `JSON.stringify` has it, part by part. */
export function* matrixJson({ ends, cells }: Matrix): Iterable<string> {
  yield `{\n  "ends": ${indented(ends, '  ')},\n  "pairs": [`;
  const known = new Map<MatrixCell['allowed'], string>();
  let isFirst = true;
  for (const { from, to, allowed } of cells) {
    const rest = known.get(allowed) ?? allowedJson(allowed);
    known.set(allowed, rest);
    yield `${isFirst ? '' : ','}\n    {\n      "from": ${JSON.stringify(from)},\n      "to": ${JSON.stringify(to)},${rest}`;
    isFirst = false;
  }
  yield isFirst ? ']\n}\n' : '\n  ]\n}\n';
}

/** The fields behind the names, which most pairs share. */
const allowedJson = (allowed: MatrixCell['allowed']): string =>
  indented({ allowed: allowedText(allowed), ports: Object.fromEntries(allowed) }, '    ').slice(1);

/** Line breaks of JSON stand between its parts only: in texts they are written as `\\n`. */
const indented = (data: unknown, by: string): string => JSON.stringify(data, undefined, 2).replaceAll('\n', `\n${by}`);
