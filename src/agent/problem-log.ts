/** What is said of a problem; how many are left or gone changes all the time, and is no other problem. */
const unnumbered = (problem: string): string => problem.replace(/^\d+ of \d+ /, '');

/** Logs problems when they begin and when they end. */
export class ProblemLog {
  readonly #log: (line: string) => void;
  /** By topic: what was told, by what identifies it. */
  readonly #told = new Map<string, ReadonlyMap<string, string>>();

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** @param problems all that there are of the topic now */
  tell(topic: string, problems: readonly string[]): void {
    const before = this.#told.get(topic) ?? new Map<string, string>();
    if (before.size === 0 && problems.length === 0) return;
    const now = new Map(problems.map((problem) => [unnumbered(problem), problem]));
    for (const [key, problem] of now) if (!before.has(key)) this.#log(`problem: ${problem}`);
    for (const [key, problem] of before) if (!now.has(key)) this.#log(`solved: ${problem}`);
    this.#told.set(topic, now);
  }
}
