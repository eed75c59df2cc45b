import type { Check } from '../check.ts';
import type { Machine } from '../machine.ts';
import { type Spread, spreadOf } from '../stats.ts';
import { table } from '../table.ts';
import type { ChangeRow, Loaded } from './changes.ts';
import { checksOf } from './checks.ts';
import type { PeerRow } from './peer-changes.ts';
import type { TrafficSample } from './traffic.ts';

/** Plain data, for `--json`. */
export interface PolicyReport {
  bench: 'policy';
  machine: Machine;
  /** Who was measured beside podnet. */
  peers: string[];
  results: { loadAverage: Spread; traffic: readonly TrafficSample[]; loaded: Loaded | undefined; changes: readonly ChangeRow[]; peers: readonly PeerRow[] };
  checks: Check[];
  ok: boolean;
}

export interface Whole {
  machine: Machine;
  loadAverages: readonly number[];
  traffic: readonly TrafficSample[];
  loaded: Loaded | undefined;
  changes: readonly ChangeRow[];
  peers: readonly PeerRow[];
  missing: readonly { name: string; why: string }[];
  /** What is to be shown with more policies was left out. */
  most: number;
}

export function reportOf({ machine, loadAverages, traffic, loaded, changes, peers, missing, most }: Whole): PolicyReport {
  const checks = [
    ...checksOf(traffic, changes, most),
    ...missing.map(({ name, why }) => ({ name: `peer: ${name}`, value: why, limit: 'there', ok: false })),
  ];
  return {
    ...{ bench: 'policy', machine, peers: [...new Set(peers.map(({ peer }) => peer))] },
    results: { loadAverage: spreadOf(loadAverages), traffic, loaded, changes, peers },
    checks,
    ok: checks.every(({ ok }) => ok),
  };
}

const one = (value: number): string => value.toFixed(1);
const range = ({ least, most }: Spread, digits: number): string => `${least.toFixed(digits)} to ${most.toFixed(digits)}`;

export function textOf({ machine, results, checks }: PolicyReport): string {
  const { cores, processor, memoryGb, kernel, node } = machine;
  const { loadAverage, traffic, loaded, changes, peers } = results;
  const lines = [
    `${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, Node ${node}`,
    `load average ${one(loadAverage.median)} (${one(loadAverage.least)} to ${one(loadAverage.most)})`,
  ];
  if (traffic.length > 0) {
    const rows = traffic.map(({ series, kind, title, cpuUs, relative }) => [
      ...[series, kind, title, cpuUs.median.toFixed(2), relative.median.toFixed(3), range(relative, 3)],
    ]);
    lines.push('', table([['', 'TRANSACTION', '', 'CPU, US', 'RATIO TO THE FIRST', 'QUARTILES'], ...rows], [0, 1, 2]));
  }
  if (loaded) {
    const { pods, policies, coldMs, planMs, kernelMs, elements, rssMb, peakMb, laterMb } = loaded;
    const size = `${pods.toLocaleString('en')} pods, ${policies.toLocaleString('en')} policies`;
    const row = [size, coldMs.toFixed(0), planMs.toFixed(0), kernelMs.toFixed(0), `${elements}`, rssMb.toFixed(0), peakMb.toFixed(0), laterMb.toFixed(0)];
    lines.push('', table([['LOADED', 'FROM START, MS', 'PLAN', 'WRITE', 'ELEMENTS', 'RSS, MB', 'PEAK', 'LATER'], row], [0]));
  }
  if (changes.length > 0) {
    const rows = changes.map(({ kind, kernelMs, packetsMs, planMs, elements }) => [
      ...[kind, kernelMs.median.toFixed(2), range(kernelMs, 2), packetsMs.median.toFixed(2), range(packetsMs, 2), planMs.toFixed(2), `${elements}`],
    ]);
    lines.push('', table([['CHANGED', 'TO KERNEL, MS', 'LEAST TO MOST', 'TO PACKETS, MS', 'LEAST TO MOST', 'PLAN', 'ELEMENTS'], ...rows], [0]));
  }
  if (peers.length > 0) {
    const rows = peers.map(({ peer, what, ms }) => [peer, what, one(ms.median), range(ms, 1)]);
    lines.push('', table([['PEER', '', 'MEDIAN, MS', 'LEAST TO MOST'], ...rows], [0, 1]));
  }
  const checkRows = checks.map(({ name, value, limit, ok }) => [ok ? '✓' : '✗', name, value, limit]);
  return [...lines, '', table([['', 'MUST SHOW', 'IS', 'LIMIT'], ...checkRows], [0, 1])].join('\n');
}
