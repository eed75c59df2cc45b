import { changeKinds } from './changes.ts';
import type { Load } from './measure.ts';
import type { ChangeRow } from './report.ts';
import type { TrafficSample } from './traffic.ts';

/** A figure that must be shown. */
export interface Check {
  name: string;
  /** As it is told to people, e.g. `1.1 times`. */
  value: string;
  limit: string;
  ok: boolean;
}

export interface Checked {
  rows: readonly ChangeRow[];
  loads: readonly Load[];
  traffic: readonly TrafficSample[];
}

const below = (name: string, value: number, limit: number, unit: string, digits = 2): Check => ({
  ...{ name, value: `${value.toFixed(digits)} ${unit}`, limit: `< ${limit} ${unit}`, ok: value < limit },
});

export function checksOf({ rows, loads, traffic }: Checked): Check[] {
  return [...changeChecks(rows), ...loadChecks(loads), ...trafficChecks(traffic)];
}

/** A change at 10,000 Services against the same at 100, and each change of itself: all of ten endpoints for each Service. */
function changeChecks(rows: readonly ChangeRow[]): Check[] {
  const of = (services: number, kind: string): ChangeRow | undefined =>
    rows.find(({ size, kind: what }) => size.services === services && size.endpoints === 10 * services && what === kind);
  const checks: Check[] = [];
  for (const kind of changeKinds) {
    const [small, large] = [of(100, kind), of(10_000, kind)];
    if (!small || !large) continue;
    checks.push(
      below(`${kind} at 10,000 Services, of that at 100, event to kernel`, large.rounds.median / small.rounds.median, 1.5, 'times'),
      below(`${kind} at 10,000 Services, of that at 100, kernel`, large.kernelRounds.median / small.kernelRounds.median, 1.5, 'times'),
      below(`${kind} at 10,000 Services, event to kernel, p50`, large.p50Ms, 5, 'ms'),
      below(`${kind} at 10,000 Services, kernel, p50`, large.kernelUs, 100, 'us', 0),
    );
  }
  return checks;
}

function loadChecks(loads: readonly Load[]): Check[] {
  const load = loads.find(({ size }) => size.services === 10_000 && size.endpoints === 100_000);
  if (!load) return [];
  const most = Math.max(load.memory.rssMb, load.later.rssMb);
  return [
    below('10,000 Services of 10 endpoints, start of the process to programmed', load.coldMs / 1000, 2, 's'),
    below('agent with 10,000 Services and 100,000 endpoints, RSS', most, 200, 'MB', 0),
  ];
}

/** The null test is two nodes of one Service each: what the measurement itself cannot tell apart. */
function trafficChecks(traffic: readonly TrafficSample[]): Check[] {
  const many = traffic.find(({ services }) => services === 50_000);
  const nothing = traffic.find(({ isNull }) => isNull);
  if (!many || !nothing) return [];
  const away = (sample: TrafficSample): number => (sample.relative.median - 1) * 100;
  return [
    below('CPU of a connection at 50,000 Services above that at one', away(many), 3, '%'),
    below('null test: one Service against one', Math.abs(away(nothing)), 3, '%'),
  ];
}
