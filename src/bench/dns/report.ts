import type { Machine } from '../machine.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { table } from '../table.ts';
import type { Check } from '../check.ts';
import { checksOf } from './checks.ts';
import type { Sample, What } from './measure.ts';
import type { ProgrammingResult } from './programming-load.ts';
import { type Kind, kinds } from './questions.ts';

/** Plain data, for `--json`. */
export interface DnsReport {
  bench: 'dns';
  machine: Machine;
  /** Who was measured beside podnet. */
  peers: string[];
  results: {
    services: number;
    rounds: number;
    loadAverage: Spread;
    rows: Row[];
    memory: MemoryRow[];
    programming: ProgrammingResult | undefined;
  };
  checks: Check[];
  ok: boolean;
}

/** One server, one kind of question, one load: over all rounds. */
export interface Row {
  server: string;
  kind: Kind;
  what: What;
  /** Answers in each second. */
  perSecond: Spread;
  /** Of a processor's time, for each answer. */
  cpuUs: Spread;
  /** Part of the time that the server had a processor; well below 1 at its highest load when others took it, or who asks was slower. */
  busy: Spread;
  asked: number;
  lost: number;
  wrong: number;
  truncated: number;
  /** Microseconds; spreads of rounds. */
  p50: Spread;
  p99: Spread;
  p999: Spread;
}

export interface MemoryRow {
  server: string;
  title: string;
  processes: number;
  pssMb: number;
  rssMb: number;
}

export interface Whole {
  machine: Machine;
  services: number;
  samples: readonly Sample[];
  memory: readonly MemoryRow[];
  missing: readonly { name: string; how: string }[];
  programming: ProgrammingResult | undefined;
  /** Who and what was asked for. */
  only: readonly string[];
  kinds: readonly Kind[];
}

function rowsOf(samples: readonly Sample[]): Row[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.what} ${sample.kind} ${sample.server}`;
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].map((group) => {
    const { server, kind, what } = group[0]!;
    const spread = (of: (sample: Sample) => number): Spread => spreadOf(group.map(of));
    const sum = (of: (sample: Sample) => number): number => group.reduce((all, sample) => all + of(sample), 0);
    return {
      ...{ server, kind, what },
      ...{ perSecond: spread((one) => one.perSecond), cpuUs: spread((one) => one.cpuUs), busy: spread((one) => one.busy) },
      ...{ asked: sum((one) => one.asked), lost: sum((one) => one.lost), wrong: sum((one) => one.wrong), truncated: sum((one) => one.truncated) },
      ...{ p50: spread((one) => one.p50), p99: spread((one) => one.p99), p999: spread((one) => one.p999) },
    };
  });
}

export function reportOf({ machine, services, samples, memory, missing, programming, only, kinds: asked }: Whole): DnsReport {
  const rows = rowsOf(samples);
  const checks = checksOf({ rows, memory, missing, programming, only, kinds: asked });
  return {
    ...{ bench: 'dns', machine, peers: memory.map(({ title }) => title).filter((title) => title !== 'podnet') },
    results: {
      ...{ services, rounds: new Set(samples.map(({ round }) => round)).size, rows, memory: [...memory], programming },
      loadAverage: spreadOf(samples.map((sample) => sample.loadAverage)),
    },
    checks,
    ok: checks.every(({ ok }) => ok),
  };
}

const thousand = (value: number): string => (value / 1000).toFixed(0);
const whole = ({ median, least, most }: Spread, text: (value: number) => string): string[] => [text(median), `${text(least)} to ${text(most)}`];

export function textOf({ machine, results, checks }: DnsReport): string {
  const { cores, processor, memoryGb, kernel, node } = machine;
  const { services, rounds, loadAverage, rows, memory, programming } = results;
  const [us, load, parts] = [(value: number) => value.toFixed(2), (value: number) => value.toFixed(1), (value: number) => value.toFixed(2)];
  const counts = ({ lost, wrong, truncated }: Row): string[] => [String(lost), String(wrong), String(truncated)];
  const highest = rows
    .filter(({ what }) => what === 'highest')
    .map((row) => [kinds[row.kind], row.server, ...whole(row.perSecond, thousand), ...whole(row.cpuUs, us), parts(row.busy.median), ...counts(row)]);
  const offered = rows
    .filter(({ what }) => what !== 'highest')
    .map((row) => [
      ...[row.what === 'fixed' ? 'fixed' : 'half of its highest', row.server, thousand(row.perSecond.median), ...whole(row.cpuUs, us)],
      ...[row.p50.median.toFixed(0), ...whole(row.p99, (value) => value.toFixed(0)), row.p999.median.toFixed(0), String(row.lost), String(row.wrong)],
    ]);
  const sizes = memory.map(({ title, processes, pssMb, rssMb }) => [title, String(processes), pssMb.toFixed(0), rssMb.toFixed(0)]);
  const lines = [
    `${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, Node ${node}`,
    `${services} Services, ${rounds} rounds, load average ${load(loadAverage.median)} (${load(loadAverage.least)} to ${load(loadAverage.most)})`,
    '',
    table([['HIGHEST LOAD', '', 'K/S', 'LEAST TO MOST', 'CPU, US', 'LEAST TO MOST', 'BUSY', 'LOST', 'WRONG', 'CUT'], ...highest], [0, 1]),
    '',
    table([['MIX, OFFERED', '', 'K/S', 'CPU, US', 'LEAST TO MOST', 'P50, US', 'P99', 'LEAST TO MOST', 'P999', 'LOST', 'WRONG'], ...offered], [0, 1]),
    '',
    table([['MEMORY', 'PROCESSES', 'PSS, MB', 'RSS, MB'], ...sizes], [0]),
  ];
  if (programming) {
    const { events, p50Ms, p99Ms, perSecond, lost, wrong } = programming;
    lines.push('', `event to answer: ${events} EndpointSlices while ${thousand(perSecond)} k/s are asked: p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, lost ${lost}, wrong ${wrong}`);
  }
  const checkRows = checks.map(({ name, value, limit, ok }) => [ok ? '✓' : '✗', name, value, limit]);
  return [...lines, '', table([['', 'MUST SHOW', 'IS', 'LIMIT'], ...checkRows], [0, 1])].join('\n');
}
