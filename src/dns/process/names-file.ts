import { utimesSync } from 'node:fs';
import type { Fact } from '../sources.ts';
import { factsVersion } from '../zone/facts.ts';
import { readLines, writeLines } from './lines-file.ts';

/** What the cluster's names are made of, a fact in each line, for a process that starts while the API server is away. */
const header = { format: 'podnet-dns-names', version: factsVersion };

/** Writes the file anew, in one step, and slowly. */
export const writeNames = (path: string, facts: Iterable<Fact>): Promise<void> => writeLines(path, header, facts);

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
  const file = readLines(path, header);
  try {
    return file && { ageMs: Math.max(0, Date.now() - file.mtimeMs), facts: file.lines.map((line) => JSON.parse(line) as Fact) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
