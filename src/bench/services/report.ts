import type { Machine } from '../machine.ts';
import { percentile, type Spread, spreadOf } from '../stats.ts';
import { table } from '../table.ts';
import type { ChangeKind, MeasuredKind } from './changes.ts';
import type { Check } from '../check.ts';
import { checksOf } from './checks.ts';
import type { ChangeSample, Load, Measured } from './measure.ts';
import type { Size } from '../objects.ts';
import { sizeName } from './plan.ts';
import type { PeerSample } from './peers.ts';
import type { TrafficSample } from './traffic.ts';

/** Plain data, for `--json`. */
export interface ServicesReport {
  bench: 'services';
  machine: Machine;
  /** Who was measured beside podnet. */
  peers: string[];
  results: {
    loadAverage: Spread;
    loads: Load[];
    changes: ChangeRow[];
    skipped: string[];
    peers: PeerRow[];
    traffic: TrafficSample[];
  };
  checks: Check[];
  ok: boolean;
}

/** One kind of change at one size, over all rounds. */
export interface ChangeRow {
  size: Size;
  kind: MeasuredKind;
  events: number;
  /** From the event of the watch until the kernel held it. */
  p50Ms: number;
  p99Ms: number;
  /** Medians, microseconds: what the agent computed, and what it and the kernel did for the transaction. */
  planUs: number;
  writeUs: number;
  kernelUs: number;
  /** The kernel's part when changes follow one another at once. */
  inARowUs: number;
  elements: number;
  /** The medians of each round, ms and microseconds of the kernel. */
  rounds: Spread;
  kernelRounds: Spread;
}

export interface PeerRow {
  peer: string;
  size: Size;
  what: 'load' | ChangeKind;
  ms: Spread;
}

export interface Whole {
  machine: Machine;
  measured: Measured;
  peers: readonly PeerSample[];
  /** Peers whose command is not there. */
  missing: readonly string[];
  traffic: readonly TrafficSample[];
  /** Sizes with more Services were left out. */
  most: number;
}

const median = (values: readonly number[]): number => spreadOf(values).median;

export function rowsOf(samples: readonly ChangeSample[]): ChangeRow[] {
  const groups = new Map<string, ChangeSample[]>();
  for (const sample of samples) {
    const key = `${sizeName(sample.size)} ${sample.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].map((group) => {
    const { size, kind } = group[0]!;
    const timed = group.flatMap((sample) => sample.timed);
    const ms = timed.map((one) => one.ms);
    return {
      ...{ size, kind, events: timed.length, p50Ms: median(ms), p99Ms: percentile(ms, 99) },
      planUs: median(timed.map(({ planUs }) => planUs)),
      writeUs: median(timed.map(({ writeUs }) => writeUs)),
      kernelUs: median(timed.map(({ kernelUs }) => kernelUs)),
      inARowUs: median(group.flatMap((sample) => sample.inARowUs)),
      elements: median(timed.map(({ elements }) => elements)),
      rounds: spreadOf(group.map((sample) => median(sample.timed.map((one) => one.ms)))),
      kernelRounds: spreadOf(group.map((sample) => median(sample.timed.map(({ kernelUs }) => kernelUs)))),
    };
  });
}

export function reportOf({ machine, measured, peers, missing, traffic, most }: Whole): ServicesReport {
  const rows = rowsOf(measured.changes);
  const checks = [...checksOf({ rows, loads: measured.loads, traffic, most }), ...measured.failed.map(({ size, why }) => ({ name: sizeName(size), value: why, limit: 'measured', ok: false })), ...missing.map((peer) => ({ name: `peer: ${peer}`, value: 'missing', limit: 'there', ok: false }))];
  const peerRows = new Map<string, PeerRow>();
  for (const { peer, size, what } of peers) {
    const ms = peers.filter((one) => one.peer === peer && one.what === what && sizeName(one.size) === sizeName(size)).map((one) => one.ms);
    peerRows.set(`${peer} ${what} ${sizeName(size)}`, { peer, size, what, ms: spreadOf(ms) });
  }
  return {
    ...{ bench: 'services', machine, peers: [...new Set(peers.map(({ peer }) => peer))] },
    results: {
      ...{ loadAverage: spreadOf(measured.loadAverages), loads: measured.loads, changes: rows },
      ...{ skipped: measured.skipped.map(sizeName), peers: [...peerRows.values()], traffic: [...traffic] },
    },
    checks,
    ok: checks.every(({ ok }) => ok),
  };
}

const one = (value: number): string => value.toFixed(1);

export function textOf({ machine, results, checks }: ServicesReport): string {
  const { cores, processor, memoryGb, kernel, node } = machine;
  const { loads, changes, skipped, loadAverage, peers, traffic } = results;
  const loadRows = loads.map(({ size, coldMs, listMs, spent, cpuMs, memory, later, checkMs }) => [
    ...[sizeName(size), (coldMs / 1000).toFixed(2), (listMs / 1000).toFixed(2), (spent.kernelUs / 1e6).toFixed(2), (cpuMs / 1000).toFixed(2)],
    ...[memory.rssMb.toFixed(0), memory.peakMb.toFixed(0), later.rssMb.toFixed(0), (checkMs / 1000).toFixed(2)],
  ]);
  const changeRows = changes.map(({ size, kind, p50Ms, p99Ms, planUs, writeUs, kernelUs, inARowUs, elements, rounds }) => [
    ...[sizeName(size), kind, p50Ms.toFixed(2), p99Ms.toFixed(2), `${rounds.least.toFixed(2)} to ${rounds.most.toFixed(2)}`],
    ...[planUs.toFixed(0), writeUs.toFixed(0), kernelUs.toFixed(0), inARowUs.toFixed(0), elements.toFixed(0)],
  ]);
  const lines = [
    `${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, Node ${node}`,
    `load average ${one(loadAverage.median)} (${one(loadAverage.least)} to ${one(loadAverage.most)})`,
    '',
    table([['LOADED', 'FROM START, S', 'FROM LIST', 'KERNEL', 'CPU', 'RSS, MB', 'PEAK', 'LATER', 'FULL CHECK, S'], ...loadRows], [0]),
    ...(skipped.length > 0 ? [`left out: ${skipped.join('; ')}`] : []),
    '',
    table([['CHANGED', '', 'P50, MS', 'P99', 'MEDIANS OF ROUNDS', 'PLAN, US', 'WRITE', 'KERNEL', 'IN A ROW', 'ELEMENTS'], ...changeRows], [0, 1]),
  ];
  if (peers.length > 0) {
    const rows = peers.map(({ peer, size, what, ms }) => [peer, sizeName(size), what, one(ms.median), `${one(ms.least)} to ${one(ms.most)}`]);
    lines.push('', table([['PEER', '', '', 'MEDIAN, MS', 'LEAST TO MOST'], ...rows], [0, 1, 2]));
  }
  if (traffic.length > 0) {
    const rows = traffic.map(({ title, perSecond, p50Us, p99Us, cpuUs, relative }) => [
      ...[title, perSecond.median.toFixed(0), one(p50Us), one(p99Us), cpuUs.median.toFixed(2), relative.median.toFixed(3)],
      `${relative.least.toFixed(3)} to ${relative.most.toFixed(3)}`,
    ]);
    lines.push('', table([['CONNECTIONS', 'PER SECOND', 'P50, US', 'P99', 'CPU, US', 'TO ONE SERVICE', 'QUARTILES'], ...rows], [0]));
  }
  const checkRows = checks.map(({ name, value, limit, ok }) => [ok ? '✓' : '✗', name, value, limit]);
  return [...lines, '', table([['', 'MUST SHOW', 'IS', 'LIMIT'], ...checkRows], [0, 1])].join('\n');
}

