import type { Machine } from '../machine.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { table } from '../table.ts';
import type { Sample } from './measure.ts';
import { type Scenario, scenarios } from './scenarios.ts';

/** Plain data, for `-o json`. */
export interface LabReport {
  machine: Machine;
  rounds: number;
  loadAverage: Spread;
  times: TimeRow[];
  memory: MemoryRow[];
  ok: boolean;
}

interface TimeRow {
  what: string;
  ms: Spread;
  /** Time on a core that the lab's own processes took until then. */
  cpuSeconds?: Spread;
  budgetMs: number;
  ok: boolean;
}

interface MemoryRow {
  /** e.g. `agent`; `total` for all of the lab. */
  process: string;
  /** How many there are of it. */
  count: number;
  scenario: Scenario['id'];
  pssMb: Spread;
  rssMb: Spread;
}

export function reportOf(machine: Machine, samples: readonly Sample[]): LabReport {
  const of = (id: Scenario['id']): Sample[] => samples.filter(({ scenario }) => scenario === id);
  const ups = scenarios.map(({ id, title, upBudgetMs }) => ({
    ...timed(title, of(id).map(({ upMs }) => upMs), upBudgetMs),
    cpuSeconds: spreadOf(of(id).map(({ processes }) => sum(processes.map(({ cpuSeconds }) => cpuSeconds)))),
  }));
  const downs = scenarios.map(({ id, short, downBudgetMs }) =>
    timed(`down, ${short}`, of(id).map(({ downMs }) => downMs), downBudgetMs),
  );
  const times = [...ups, ...downs];
  return {
    ...{ machine, rounds: of('empty').length, loadAverage: spreadOf(samples.map((sample) => sample.loadAverage)) },
    ...{ times, memory: scenarios.flatMap(({ id }) => memoryOf(id, of(id))), ok: times.every(({ ok }) => ok) },
  };
}

function timed(what: string, values: readonly number[], budgetMs: number): TimeRow {
  const ms = spreadOf(values);
  return { what, ms, budgetMs, ok: ms.median < budgetMs };
}

/** One row for each kind of process over all nodes and rounds, and one for the whole lab. */
function memoryOf(scenario: Scenario['id'], samples: readonly Sample[]): MemoryRow[] {
  const all = samples.flatMap(({ processes }) => processes);
  const rows = [...new Set(all.map(({ role }) => role))].map((role) => {
    const some = all.filter((process) => process.role === role);
    const spread = (pick: 'pssMb' | 'rssMb'): Spread => spreadOf(some.map((process) => process[pick]));
    const count = Math.round(some.length / samples.length);
    return { process: role, count, scenario, pssMb: spread('pssMb'), rssMb: spread('rssMb') };
  });
  const total = (pick: 'pssMb' | 'rssMb'): Spread => spreadOf(samples.map(({ processes }) => sum(processes.map((p) => p[pick]))));
  const count = Math.round(all.length / samples.length);
  return [...rows, { process: 'total', count, scenario, pssMb: total('pssMb'), rssMb: total('rssMb') }];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

export function textOf({ machine, rounds, loadAverage, times, memory }: LabReport): string {
  const { cores, processor, memoryGb, kernel, node } = machine;
  const timeRows = times.map(({ what, ms, cpuSeconds, budgetMs, ok }) => [
    ...[ok ? '✓' : '✗', what, seconds(ms.median), seconds(ms.least), seconds(ms.most)],
    ...[cpuSeconds ? seconds(cpuSeconds.median * 1000) : '', `< ${budgetMs / 1000} s`],
  ]);
  const names = [...new Set(memory.map(({ process }) => process))].sort((a, b) => Number(a === 'total') - Number(b === 'total'));
  const memoryRows = names.map((name) => [
    name,
    ...scenarios.flatMap(({ id }) => {
      const row = memory.find(({ process, scenario }) => process === name && scenario === id);
      return row ? [String(row.count), row.pssMb.median.toFixed(0), row.rssMb.median.toFixed(0)] : ['', '', ''];
    }),
  ]);
  return [
    `${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, Node ${node}`,
    `${rounds} rounds; load average ${loadAverage.median.toFixed(1)} (${loadAverage.least.toFixed(1)} to ${loadAverage.most.toFixed(1)})`,
    '',
    table([['', 'FROM COMMAND TO END', 'MEDIAN', 'LEAST', 'MOST', 'CPU', 'BUDGET'], ...timeRows], [0, 1]),
    '',
    'Memory of one process each, MB: how many, PSS, RSS',
    table([['', ...scenarios.flatMap(({ short }) => ['', '', short])], ...memoryRows], [0]),
  ].join('\n');
}
