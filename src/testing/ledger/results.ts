import { relative } from 'node:path';
import type { EventData } from 'node:test';
import { citations, unknownCitations } from './citations.ts';

/** A test that passed and what it cites. */
export interface Cover {
  /** Its source file, from the project's root. */
  file: string;
  /** Its name, without what stands for citations before the first colon. */
  name: string;
}

/** What a run has shown: which tests passed, and so which conformance tests and statements are covered. */
export class Results {
  readonly #output: string;
  readonly #covers = new Map<string, Cover[]>();
  readonly #reasons = new Map<string, number>();
  readonly #times = new Map<string, number>();
  readonly unknown = new Set<string>();
  failed = 0;

  /** @param output the folder of the built files */
  constructor(output: string) {
    this.#output = output;
  }

  passed({ name, file, skip, todo, nesting, details }: EventData.TestPass): void {
    const source = this.#source(file);
    if (nesting === 0) this.#times.set(source, (this.#times.get(source) ?? 0) + details.duration_ms);
    for (const id of unknownCitations(name)) this.unknown.add(`${id} (${source}: ${name})`);
    if (skip !== undefined) {
      const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    } else if (todo === undefined && (details.type as string) !== 'suite') {
      for (const id of citations(name))
        this.#covers.set(id, [...(this.#covers.get(id) ?? []), { file: source, name: plain(name) }]);
    }
  }

  /** Tests that passed and cite the conformance test or statement. */
  covers(id: string): readonly Cover[] {
    return this.#covers.get(id) ?? [];
  }

  /** Why tests were skipped, and how many for each reason. */
  get skipped(): readonly (readonly [reason: string, count: number])[] {
    return [...this.#reasons].sort(([, a], [, b]) => b - a);
  }

  /** Files by the time that their tests took, longest first. */
  get slowest(): readonly (readonly [file: string, durationMs: number])[] {
    return [...this.#times].sort(([, a], [, b]) => b - a);
  }

  #source(file: string | undefined): string {
    return file === undefined ? '' : `src/${relative(this.#output, file).replace(/\.js$/, '.ts')}`;
  }
}

/** `SD4a (ipv4): a pod …` → `a pod …`, where what stands before the colon is citations only. */
function plain(name: string): string {
  const [head = '', ...rest] = name.split(': ');
  const words = head.replaceAll(/\(.*?\)/g, '').split(/[ ,]+/);
  return rest.length > 0 && words.every((word) => word === '' || citations(word).length > 0) ? rest.join(': ') : name;
}
