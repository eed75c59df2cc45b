import { checkCustom, type CustomEntries } from './entries.ts';
import { Hosts } from './hosts.ts';
import { Rewrites } from './rewrite.ts';

export interface CustomStatus {
  /** Where the entries come from. */
  source: string;
  /** When what is in force was read, RFC 3339; undefined: nothing is. */
  since?: string;
  hosts: number;
  rewrites: number;
  /** Why what there is now is not in force. What was before stays. */
  error?: string;
  /** What was left out. */
  notes: string[];
}

/** Names set by hand, as they are in force. New ones take the place of all at once, and only when they are right as a whole. */
export class Custom {
  hosts: Hosts | undefined;
  rewrites: Rewrites | undefined;
  /** Entries that were put in place, and those that were refused. */
  reloads = 0;
  failures = 0;
  #since: number | undefined;
  #error: string | undefined;
  #notes: string[] = [];
  readonly #source: string;
  readonly #log: (line: string) => void;

  constructor(source: string, log: (line: string) => void = () => {}) {
    this.#source = source;
    this.#log = log;
  }

  /**
   * Puts entries in the place of those in force.
   * @param entries what was written, of whatever shape
   * @param read the content of a file that they name
   * @returns whether they are in force; else `status` says why not
   */
  set(entries: unknown, { read = noFiles, notes = [] }: { read?: (file: string) => string; notes?: readonly string[] } = {}): boolean {
    try {
      const checked: CustomEntries = checkCustom(entries);
      const hosts = checked.hosts && new Hosts(checked.hosts, read);
      const rewrites = checked.rewrite && new Rewrites(checked.rewrite, (rule, ms) => this.#slow(rule, ms));
      this.hosts = hosts;
      this.rewrites = rewrites;
      this.#notes = [...notes, ...(hosts?.faults ?? [])];
      this.#since = Date.now();
      this.#error = undefined;
      this.reloads++;
      for (const note of this.#notes) this.#log(`custom entries: ${note}`);
      return true;
    } catch (error) {
      this.fail((error as Error).message);
      return false;
    }
  }

  /** What is there now cannot be used. */
  fail(why: string): void {
    if (why === this.#error) return;
    this.failures++;
    this.#error = why;
    this.#log(`custom entries of ${this.#source}: ${why}; ${this.#since === undefined ? 'there are none' : 'the former ones stay'}`);
  }

  status(): CustomStatus {
    return {
      source: this.#source,
      ...(this.#since === undefined ? {} : { since: new Date(this.#since).toISOString() }),
      ...{ hosts: this.hosts?.size ?? 0, rewrites: this.rewrites?.size ?? 0, notes: this.#notes },
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  #slow(rule: string, ms: number): void {
    const note = `${rule} took ${Math.round(ms)} ms for one name and is not used any more`;
    this.#notes.push(note);
    this.#log(`custom entries: ${note}`);
  }
}

function noFiles(file: string): string {
  throw new Error(`cannot read ${file} here`);
}
