import type { StormReport } from '../../agent/testkit/kill-storm.ts';
import type { Machine } from '../machine.ts';
import { percentile, type Spread, spreadOf } from '../stats.ts';
import { table } from '../table.ts';
import { type Budget, budgetsOf } from './budgets.ts';
import type { ManySample } from './many.ts';
import type { Sample } from './measure.ts';

/** Plain data, for `-o json`. */
export interface CniReport {
  machine: Machine;
  rounds: number;
  loadAverage: Spread;
  rows: Row[];
  many: ManyRow | undefined;
  storm: StormReport | undefined;
  budgets: Budget[];
  ok: boolean;
}

export interface Row {
  contender: string;
  title: string;
  verb: Sample['verb'];
  atOnce: number;
  calls: number;
  /** Over all calls. */
  medianMs: number;
  p99Ms: number;
  /** Of the medians of each round. */
  rounds: Spread;
  /** Milliseconds on a core for each call. */
  cpuMs: Spread;
}

export interface ManyRow {
  pods: number;
  /** Medians. */
  firstHundredMs: number;
  lastHundredMs: number;
  deleteMs: number;
  /** Of the agent, for each pod that is attached. */
  rssKb: number;
  heapKb: number;
  rssMb: { before: number; after: number };
  pssMb: { before: number; after: number };
}

export interface Measured {
  machine: Machine;
  titles: ReadonlyMap<string, string>;
  samples: readonly Sample[];
  many: ManySample | undefined;
  storm: StormReport | undefined;
}

export function reportOf({ machine, titles, samples, many, storm }: Measured): CniReport {
  const rows = [...titles].flatMap(([contender, title]) =>
    (['ADD', 'DEL'] as const).flatMap((verb) =>
      [1, 10].flatMap((atOnce) => {
        const some = samples.filter(
          (sample) => sample.contender === contender && sample.verb === verb && sample.atOnce === atOnce && sample.round > 0,
        );
        return some.length === 0 ? [] : [rowOf({ contender, title, verb, atOnce }, some)];
      }),
    ),
  );
  const cold = samples.filter(({ round }) => round === 0);
  const first = [...titles].flatMap(([contender, title]) => {
    const some = cold.filter((sample) => sample.contender === contender && sample.verb === 'ADD');
    return some.length === 0
      ? []
      : [rowOf({ contender: `${contender}-first`, title: `${title}, first after start`, verb: 'ADD', atOnce: 1 }, some)];
  });
  const report = { rows: [...rows, ...first], many: many && manyRowOf(many), storm };
  const budgets = budgetsOf(report);
  const loadAverage = spreadOf(samples.map((sample) => sample.loadAverage));
  const rounds = new Set(samples.map(({ round }) => round).filter((round) => round > 0)).size;
  return { machine, rounds, loadAverage, ...report, budgets, ok: budgets.every(({ ok }) => ok) };
}

function rowOf(what: Pick<Row, 'contender' | 'title' | 'verb' | 'atOnce'>, samples: readonly Sample[]): Row {
  const all = samples.flatMap(({ ms }) => ms);
  return {
    ...{ ...what, calls: all.length, medianMs: spreadOf(all).median, p99Ms: percentile(all, 99) },
    rounds: spreadOf(samples.map(({ ms }) => spreadOf(ms).median)),
    cpuMs: spreadOf(samples.map(({ cpuUs }) => cpuUs / 1000)),
  };
}

function manyRowOf({ pods, addMs, deleteMs, memoryBefore: before, memoryAfter: after }: ManySample): ManyRow {
  const mb = (bytes: number): number => bytes / 2 ** 20;
  return {
    pods,
    firstHundredMs: spreadOf(addMs.slice(0, 100)).median,
    lastHundredMs: spreadOf(addMs.slice(-100)).median,
    deleteMs: spreadOf(deleteMs).median,
    rssKb: (after.rssBytes - before.rssBytes) / 1024 / pods,
    heapKb: (after.heapBytes - before.heapBytes) / 1024 / pods,
    rssMb: { before: mb(before.rssBytes), after: mb(after.rssBytes) },
    pssMb: { before: mb(before.pssBytes), after: mb(after.pssBytes) },
  };
}

const ms = (value: number): string => value.toFixed(2);

export function textOf({ machine, rounds, loadAverage, rows, many, storm, budgets }: CniReport): string {
  const { cores, processor, memoryGb, kernel, node } = machine;
  const callRows = rows.map(({ title, verb, atOnce, calls, medianMs, p99Ms, rounds: r, cpuMs }) => [
    ...[title, verb, String(atOnce), String(calls), ms(medianMs), ms(p99Ms), `${ms(r.least)} to ${ms(r.most)}`, ms(cpuMs.median)],
  ]);
  const lines = [
    `${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, Node ${node}`,
    `${rounds} rounds; load average ${loadAverage.median.toFixed(1)} (${loadAverage.least.toFixed(1)} to ${loadAverage.most.toFixed(1)})`,
    '',
    table([['WHOLE CALL, MS', '', 'AT ONCE', 'CALLS', 'MEDIAN', 'P99', 'MEDIANS OF ROUNDS', 'CPU'], ...callRows], [0, 1]),
  ];
  if (many) {
    const { rssMb, pssMb } = many;
    lines.push(
      '',
      `${many.pods} pods on one node: ADD ${ms(many.firstHundredMs)} ms in the first hundred, ${ms(many.lastHundredMs)} ms in the last (medians)`,
      `agent: RSS ${rssMb.before.toFixed(1)} to ${rssMb.after.toFixed(1)} MB, PSS ${pssMb.before.toFixed(1)} to ${pssMb.after.toFixed(1)} MB; ` +
        `for each pod ${many.rssKb.toFixed(1)} kB of RSS, ${many.heapKb.toFixed(1)} kB of JavaScript`,
    );
  }
  if (storm)
    lines.push(
      '',
      `${storm.kills} kills (-9) of the agent in ${(storm.ms / 1000).toFixed(0)} s, ${storm.adds} pods attached, ${storm.retries} calls tried again: ` +
        (storm.problems.length === 0 ? 'nothing leaked, no address twice' : storm.problems.join('; ')),
    );
  const budgetRows = budgets.map(({ what, value, budget, ok }) => [ok ? '✓' : '✗', what, value, budget]);
  return [...lines, '', table([['', 'MUST SHOW', 'IS', 'BUDGET'], ...budgetRows], [0, 1])].join('\n');
}
