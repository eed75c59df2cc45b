import type { Check } from '../check.ts';
import { spreadOf } from '../stats.ts';
import { changeKinds } from './changes.ts';
import type { Load } from './measure.ts';
import type { Size } from '../objects.ts';
import { isJudged, reportedSizes, sizeName } from './plan.ts';
import type { ChangeRow } from './report.ts';
import type { TrafficSample } from './traffic.ts';

export interface Checked {
  rows: readonly ChangeRow[];
  loads: readonly Load[];
  traffic: readonly TrafficSample[];
  /** Sizes with more Services were left out, and what is to be shown at them. */
  most: number;
}

/** A value that is undefined was not measured, and so not shown. */
function below(name: string, value: number | undefined, limit: number, unit: string, digits = 2): Check {
  const text = value === undefined ? 'not measured' : `${value.toFixed(digits)} ${unit}`;
  return { name, value: text, limit: `< ${limit} ${unit}`, ok: value !== undefined && value < limit };
}

export function checksOf({ rows, loads, traffic, most }: Checked): Check[] {
  return [
    ...(most >= 10_000 ? [...changeChecks(rows), ...loadChecks(loads)] : []),
    ...reportedSizes(most).map((size) => reportCheck(size, rows, loads)),
    ...(most >= 50_000 ? trafficChecks(traffic) : []),
  ];
}

/** A change at 10,000 Services against the same at 100, and each change of itself: all of ten endpoints for each Service. */
function changeChecks(rows: readonly ChangeRow[]): Check[] {
  const of = (services: number, kind: string): ChangeRow | undefined =>
    rows.find(({ size, kind: what }) => size.services === services && size.endpoints === 10 * services && what === kind);
  const checks = changeKinds.flatMap((kind): Check[] => {
    const [small, large] = [of(100, kind), of(10_000, kind)];
    const times = (measure: (row: ChangeRow) => number): number | undefined => small && large && measure(large) / measure(small);
    return [
      below(`${kind} at 10,000 Services, of that at 100, event to kernel`, times(({ rounds }) => rounds.median), 1.5, 'times'),
      below(`${kind} at 10,000 Services, of that at 100, kernel`, times(({ kernelRounds }) => kernelRounds.median), 1.5, 'times'),
      below(`${kind} at 10,000 Services, event to kernel, p50`, large?.p50Ms, 5, 'ms'),
      below(`${kind} at 10,000 Services, kernel, alone, p50`, large?.kernelUs, 100, 'us', 0),
      below(`${kind} at 10,000 Services, kernel, one after the other, p50`, large?.inARowUs, 100, 'us', 0),
    ];
  });
  const latest = ['replace', 'scale-up', 'scale-down'].flatMap((kind) => of(10_000, kind)?.p99Ms ?? []);
  const p99 = latest.length > 0 ? Math.max(...latest) : undefined;
  return [...checks, below('SD29: changes of endpoints at 10,000 Services, event to kernel, p99', p99, 1000, 'ms', 1)];
}

function loadChecks(loads: readonly Load[]): Check[] {
  const judged = loads.filter(({ size }) => isJudged(size));
  const measured = judged.length > 0;
  const cold = measured ? spreadOf(judged.map(({ coldMs }) => coldMs)).median / 1000 : undefined;
  const most = measured ? Math.max(...judged.flatMap(({ memory, later }) => [memory.rssMb, later.rssMb])) : undefined;
  return [
    below('10,000 Services of 10 endpoints, start of the process to programmed', cold, 2, 's'),
    below('agent with 10,000 Services and 100,000 endpoints, RSS', most, 200, 'MB', 0),
  ];
}

/** A size that users report as slow: loaded, changed, its memory told. There is no limit. */
function reportCheck(size: Size, rows: readonly ChangeRow[], loads: readonly Load[]): Check {
  const isIt = (other: { size: Size }): boolean => other.size.services === size.services && other.size.endpoints === size.endpoints;
  const load = loads.find(isIt);
  const changes = rows.filter(isIt);
  const ok = load !== undefined && changes.length > 0;
  const slowest = Math.max(...changes.map(({ p50Ms }) => p50Ms));
  const value = ok
    ? `programmed in ${(load.coldMs / 1000).toFixed(2)} s, ${Math.max(load.memory.rssMb, load.later.rssMb).toFixed(0)} MB, slowest change ${slowest.toFixed(1)} ms`
    : 'not measured';
  return { name: `${sizeName(size)}, as users report`, value, limit: 'reported', ok };
}

/** The null test is two nodes of one Service each: what the measurement itself cannot tell apart. */
function trafficChecks(traffic: readonly TrafficSample[]): Check[] {
  const many = traffic.find(({ services }) => services === 50_000);
  const nothing = traffic.find(({ isNull }) => isNull);
  const away = (sample: TrafficSample | undefined): number | undefined => sample && (sample.relative.median - 1) * 100;
  const off = away(nothing);
  return [
    below('CPU of a connection at 50,000 Services above that at one', away(many), 3, '%'),
    below('null test: one Service against one', off === undefined ? undefined : Math.abs(off), 3, '%'),
  ];
}
