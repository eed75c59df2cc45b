import { readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Fact } from '../sources.ts';
import { factsVersion } from '../zone/facts.ts';

/**
 * What the cluster's names are made of, as lines of JSON: a header, a fact each, and their number, without which the file is not whole. For a process that starts
 * while the API server is away.
 */
const format = 'podnet-dns-names';
const atOnce = 250;

const header = { format, version: factsVersion };

/** Writes the file anew, in one step, and slowly: between a few hundred facts everything else gets its turn. */
export async function writeNames(path: string, facts: Iterable<Fact>): Promise<void> {
  const born = `${path}~`;
  const file = await open(born, 'w', 0o600);
  try {
    let lines = [JSON.stringify(header)];
    let count = 0;
    for (const fact of facts) {
      lines.push(JSON.stringify(fact));
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

/** Says that the file is true at this moment. */
export function touchNames(path: string): void {
  const now = new Date();
  utimesSync(path, now, now);
}

export interface NamesFile {
  /** Milliseconds since it was known to be true. */
  ageMs: number;
  facts: Fact[];
}

/** @returns undefined when there is none, when it is not whole, or of a version that means something else */
export function readNames(path: string): NamesFile | undefined {
  try {
    const { mtimeMs } = statSync(path);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    const last = lines.pop();
    const first = lines.shift();
    if (first !== JSON.stringify(header) || last !== String(lines.length)) return undefined;
    return { ageMs: Math.max(0, Date.now() - mtimeMs), facts: lines.map((line) => JSON.parse(line) as Fact) };
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
