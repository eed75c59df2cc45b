import type { CniReport, Row } from './report.ts';

export interface Budget {
  what: string;
  /** As it is told to people, e.g. `11.2 times`. */
  value: string;
  budget: string;
  ok: boolean;
}

interface Comparison {
  what: string;
  verb: Row['verb'];
  atOnce: number;
  podnet: 'podnet' | 'podnet-wait';
  of(row: Row): number;
  /** So many times less than each of the Go chains. */
  atLeast: number;
}

const median = ({ medianMs }: Row): number => medianMs;
const comparisons: readonly Comparison[] = [
  { what: 'ADD one at a time, median', verb: 'ADD', atOnce: 1, podnet: 'podnet', of: median, atLeast: 8 },
  { what: 'ADD one at a time, p99', verb: 'ADD', atOnce: 1, podnet: 'podnet', of: ({ p99Ms }) => p99Ms, atLeast: 4 },
  { what: 'ADD, 10 at once, median', verb: 'ADD', atOnce: 10, podnet: 'podnet', of: median, atLeast: 6 },
  {
    what: 'CPU for an ADD, one at a time',
    verb: 'ADD',
    atOnce: 1,
    podnet: 'podnet',
    of: ({ cpuMs }) => cpuMs.median,
    atLeast: 5,
  },
  { what: 'DEL one at a time, median', verb: 'DEL', atOnce: 1, podnet: 'podnet', of: median, atLeast: 10 },
  { what: 'DEL with deletion, one at a time', verb: 'DEL', atOnce: 1, podnet: 'podnet-wait', of: median, atLeast: 1 },
  { what: 'DEL with deletion, 10 at once', verb: 'DEL', atOnce: 10, podnet: 'podnet-wait', of: median, atLeast: 1 },
];

/** What must be shown, for what was measured. A comparison counts against the better one of the Go chains. */
export function budgetsOf({ rows, many, storm }: Pick<CniReport, 'rows' | 'many' | 'storm'>): Budget[] {
  const budgets = comparisons.flatMap(({ what, verb, atOnce, podnet, of, atLeast }): Budget[] => {
    const some = rows.filter((row) => row.verb === verb && row.atOnce === atOnce);
    const own = some.find(({ contender }) => contender === podnet);
    const peers = some.filter(({ contender }) => contender.startsWith('go-')).map(of);
    if (!own || peers.length === 0) return [];
    const times = Math.min(...peers) / of(own);
    const unit = atLeast === 1 ? 'as fast' : 'times less';
    return [
      {
        what,
        value: `${times.toFixed(1)} times less`,
        budget: `>= ${atLeast === 1 ? unit : `${atLeast} ${unit}`}`,
        ok: times >= atLeast,
      },
    ];
  });
  if (many) {
    const ratio = many.lastHundredMs / many.firstHundredMs;
    const what = `ADD with ${many.pods} pods against the first hundred`;
    budgets.push({ what, value: `${ratio.toFixed(2)} times`, budget: '<= 1.5 times', ok: ratio <= 1.5 });
  }
  if (storm)
    budgets.push({
      ...{ what: `left behind after ${storm.kills} kills of the agent`, value: String(storm.problems.length), budget: '0' },
      ok: storm.problems.length === 0,
    });
  return budgets;
}
