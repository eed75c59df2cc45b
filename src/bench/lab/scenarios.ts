import { fileURLToPath } from 'node:url';

/** One way to bring a lab up, and how long that may take. */
export interface Scenario {
  id: 'empty' | 'demo' | 'many';
  title: string;
  /** Column of the memory table. */
  short: string;
  /** Arguments of `podnet lab up`. */
  up: readonly string[];
  /** From the command to its end. */
  upBudgetMs: number;
  downBudgetMs: number;
}

const file = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const downBudgetMs = 2000;

export const scenarios: readonly Scenario[] = [
  { id: 'empty', title: '3 nodes Ready', short: 'no pods', up: [], upBudgetMs: 2000, downBudgetMs },
  {
    ...{ id: 'demo', title: 'guestbook Ready and proven', short: 'guestbook' },
    ...{ up: ['--apply', file('examples/guestbook.yaml'), '--verify'], upBudgetMs: 10_000, downBudgetMs },
  },
  {
    ...{ id: 'many', title: '300 pods Ready', short: '300 pods' },
    ...{ up: ['--apply', file('src/bench/lab/data/300-pods.yaml')], upBudgetMs: 10_000, downBudgetMs },
  },
];
