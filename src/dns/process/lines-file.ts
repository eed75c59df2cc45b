import { readFileSync, rmSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

const atOnce = 250;

/**
 * What one process leaves to another: lines of JSON, a header, the values, and their number, without which the file is not whole. Written anew in one step, 0600, and slowly: between a few hundred
 * values everything else gets its turn.
 */
export async function writeLines(path: string, header: object, values: Iterable<unknown>): Promise<void> {
  const born = `${path}~`;
  const file = await open(born, 'w', 0o600);
  try {
    let lines = [JSON.stringify(header)];
    let count = 0;
    for (const value of values) {
      lines.push(JSON.stringify(value));
      if (++count % atOnce > 0) continue;
      await file.write(`${lines.join('\n')}\n`);
      lines = [];
      await setImmediate();
    }
    await file.write(`${[...lines, count].join('\n')}\n`);
  } catch (error) {
    await file.close();
    rmSync(born, { force: true });
    throw error;
  }
  await file.close();
  await rename(born, path);
}

export interface LinesFile {
  /** When it was written, or touched: milliseconds since 1970. */
  mtimeMs: number;
  /** Each still as text. */
  lines: string[];
}

/** @returns undefined when there is none, when it is not whole, or of another header */
export function readLines(path: string, header: object): LinesFile | undefined {
  try {
    const { mtimeMs } = statSync(path);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    const last = lines.pop();
    const first = lines.shift();
    return first === JSON.stringify(header) && last === String(lines.length) ? { mtimeMs, lines } : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
