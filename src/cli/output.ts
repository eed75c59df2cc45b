import { basename, delimiter, dirname, relative, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';

/** What a person or a script sees. `wide` is the table with more columns. */
export const outputFormats = ['table', 'wide', 'json', 'yaml'] as const;

const csi = '\u001b[';
const codes = { green: 32, red: 31, yellow: 33, dim: 2, bold: 1 } as const;

/** Colours for a terminal; none for a pipe, with NO_COLOR set or --no-color given. */
export class Style {
  readonly #enabled: boolean;

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  static of(stream: { isTTY?: boolean }, noColor = false): Style {
    return new Style(Boolean(stream.isTTY) && !noColor && !process.env.NO_COLOR);
  }

  paint(colour: keyof typeof codes, text: string): string {
    return this.#enabled ? `${csi}${codes[colour]}m${text}${csi}0m` : text;
  }
}

/** The width on a terminal, colour codes left out. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins a colour code
export const width = (text: string): number => [...text.replaceAll(/\u001b\[\d+m/g, '')].length;

/** Names come from users: a line break or an escape sequence in one must not reach the terminal (T40). */
export const printable = (text: string): string =>
  text.replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** So much is written at once. */
const partLength = 1 << 20;

/** Writes to standard output what may be longer than memory is large, and ends when nobody reads on (`| head`). */
export async function printParts(parts: Iterable<string>): Promise<void> {
  let text = '';
  for (const part of parts) {
    text += part;
    if (text.length < partLength) continue;
    process.stdout.write(text);
    text = '';
    // A reader who is gone is told of between two turns of the loop.
    await setImmediate();
    if (!process.stdout.writable) return;
  }
  process.stdout.write(text);
}

/** Columns as wide as their widest cell, three spaces between, as kubectl prints tables. Numbers stand to the right when `right` names their column. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  const line = (row: readonly string[]): string =>
    widths
      .map((wide, column) => {
        const cell = row[column] ?? '';
        const pad = ' '.repeat(wide - width(cell));
        return right.includes(column) ? pad + cell : cell + pad;
      })
      .join('   ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** `1 node`, `3 nodes`, `2 processes`. */
export const count = (number: number, noun: string): string =>
  `${number} ${noun}${number === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;

/** `0.42s`, `12.3s`, `2m05s`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(2)}s`;
  if (seconds < 100) return `${seconds.toFixed(1)}s`;
  return `${Math.floor(seconds / 60)}m${String(Math.round(seconds % 60)).padStart(2, '0')}s`;
}

/** How this program was called, to be typed again: `podnet` when it is on the path, else the way to its file from here. */
export function commandName(): string {
  const file = process.argv[1] ?? 'podnet';
  const onPath = (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && resolve(folder) === dirname(file));
  if (onPath) return basename(file);
  const near = relative(process.cwd(), file);
  return near.startsWith('..') ? file : `./${near}`;
}
