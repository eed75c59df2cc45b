import type { Check } from '../check.ts';
import type { MemoryRow, Row } from './report.ts';
import type { ProgrammingResult } from './programming-load.ts';
import type { Kind } from './questions.ts';

export interface Checked {
  rows: readonly Row[];
  memory: readonly MemoryRow[];
  missing: readonly { name: string; how: string }[];
  programming: ProgrammingResult | undefined;
  /** Who and what was asked for: what was left out by hand is not missed. */
  only: readonly string[];
  kinds: readonly Kind[];
}

export function checksOf(checked: Checked): Check[] {
  const { only, missing } = checked;
  if (!only.includes('podnet')) return peerChecks(missing);
  return [...speedChecks(checked), ...answerChecks(checked), ...programmingChecks(checked), ...memoryChecks(checked), ...peerChecks(missing)];
}

/** Ratios of medians, of servers that took turns. A ratio that could not be had is not shown. */
function speedChecks({ rows, only, kinds }: Checked): Check[] {
  const of = (server: string, kind: Kind, what: Row['what'] = 'highest'): Row | undefined =>
    rows.find((row) => row.server === server && row.kind === kind && row.what === what);
  const atLeast = (name: string, kind: Kind, peer: string, limit: number): Check[] => {
    if (!only.includes(peer) || !kinds.includes(kind)) return [];
    const [own, other] = [of('podnet', kind), of(peer, kind)];
    const times = own && other && own.perSecond.median / other.perSecond.median;
    const cpu = own && other && other.cpuUs.median / own.cpuUs.median;
    const value = times === undefined ? 'not measured' : `${times.toFixed(2)} times (by CPU ${cpu!.toFixed(2)})`;
    return [{ name, value, limit: `>= ${limit} times`, ok: times !== undefined && times >= limit }];
  };
  const coredns = of('coredns', 'mix') ? atLeast('mix, highest load, of CoreDNS', 'mix', 'coredns', 3.5) : [];
  return [
    ...atLeast('mix, highest load, of knot', 'mix', 'knot', 1),
    ...atLeast('ClusterIP A, highest load, of an echo', 'a', 'echo', 0.8),
    ...(only.includes('echo') && kinds.includes('mix') ? [latencyCheck(of('podnet', 'mix', 'fixed'), of('echo', 'mix', 'fixed'))] : []),
    ...coredns,
  ];
}

function latencyCheck(own: Row | undefined, echo: Row | undefined): Check {
  const name = 'mix at 20,000/s, median of p99, in the spread of the echo';
  if (!own || !echo) return { name, value: 'not measured', limit: '', ok: false };
  const { least, median, most } = echo.p99;
  const text = (us: number): string => us.toFixed(0);
  return {
    ...{ name, value: `${text(own.p99.median)} us`, ok: own.p99.median <= most },
    limit: `<= ${text(most)} us (${text(least)} to ${text(most)}, median ${text(median)})`,
  };
}

function answerChecks({ rows }: Checked): Check[] {
  const own = rows.filter(({ server }) => server === 'podnet');
  const sum = (of: (row: Row) => number): number => own.reduce((all, row) => all + of(row), 0);
  const lost = own.filter(({ what }) => what === 'highest').reduce((all, row) => all + row.lost, 0);
  return [
    { name: `wrong answers of ${sum(({ asked }) => asked)}`, value: String(sum(({ wrong }) => wrong)), limit: '0', ok: sum(({ wrong }) => wrong) === 0 },
    { name: 'lost at the highest load', value: String(lost), limit: '0', ok: lost === 0 },
  ];
}

function programmingChecks({ programming }: Checked): Check[] {
  if (!programming) return [];
  const { p99Ms, events, perSecond, wrong } = programming;
  return [
    { name: `EndpointSlice event to the changed answer, p99 of ${events}`, value: `${p99Ms.toFixed(1)} ms`, limit: '< 50 ms', ok: p99Ms < 50 },
    { name: 'asked for each second meanwhile', value: perSecond.toFixed(0), limit: '>= 49500', ok: perSecond >= 49_500 },
    { name: 'wrong answers meanwhile', value: String(wrong), limit: '0', ok: wrong === 0 },
  ];
}

function memoryChecks({ memory }: Checked): Check[] {
  const own = memory.find(({ server }) => server === 'podnet');
  const value = own ? `${own.pssMb.toFixed(0)} MB PSS in ${own.processes} processes` : 'not measured';
  return [{ name: 'memory of podnet', value, limit: 'reported', ok: own !== undefined }];
}

/** Debian has all of them but CoreDNS, which nobody is to be blamed for not having. */
const peerChecks = (missing: Checked['missing']): Check[] =>
  missing.map(({ name, how }) => ({ name: `peer: ${name}`, value: 'missing', limit: how, ok: name === 'coredns' }));
