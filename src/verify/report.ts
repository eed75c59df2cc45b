import type { Family } from '../net/ip.ts';
import type { CheckProtocol } from './input.ts';

export interface Failure {
  from: string;
  to: string;
  expected: string;
  seen: string;
  why: string;
}

export interface CheckResult {
  /** e.g. `pod-pod` */
  id: string;
  /** e.g. `pod to pod` */
  title: string;
  family: Family;
  protocol: CheckProtocol;
  attempted: number;
  ok: number;
  failed: number;
  /** The median attempt that succeeded, from first packet to answer. */
  p50Ms?: number;
  /** What a reader must know about what was not tried, e.g. how pairs were sampled. */
  note?: string;
  /** The first ones; `failed` counts all. */
  failures: Failure[];
}

/** Plain JSON. */
export interface Report {
  ok: boolean;
  checks: CheckResult[];
  startedAt: string;
  durationMs: number;
}

const familyText: Record<Family, string> = { ipv4: 'IPv4', ipv6: 'IPv6' };

export function tableOf(report: Report): { header: string[]; rows: string[][] } {
  const rows = report.checks.map((check) => [
    check.title,
    familyText[check.family],
    check.protocol.toUpperCase(),
    String(check.attempted),
    String(check.ok),
    String(check.failed),
    check.p50Ms === undefined ? '' : `${check.p50Ms.toFixed(2)} ms`,
    check.note ?? '',
  ]);
  return { header: ['CHECK', 'FAMILY', 'PROTOCOL', 'TRIED', 'OK', 'FAILED', 'MEDIAN', 'NOTE'], rows };
}

/** One line per failure that was kept, and how many more there are. */
export function failureLines(report: Report): string[] {
  return report.checks.flatMap((check) => {
    const head = `${check.title}, ${familyText[check.family]} ${check.protocol.toUpperCase()}`;
    const lines = check.failures.map((f) => `${head}: ${f.from} -> ${f.to}: expected ${f.expected}, seen ${f.seen}: ${f.why}`);
    const more = check.failed - check.failures.length;
    return more > 0 ? [...lines, `${head}: ${more} more failures`] : lines;
  });
}

export function conclusionOf(report: Report): string {
  const attempted = report.checks.reduce((sum, check) => sum + check.attempted, 0);
  const failed = report.checks.reduce((sum, check) => sum + check.failed, 0);
  const time = `${(report.durationMs / 1000).toFixed(2)} s`;
  if (attempted === 0) return 'Nothing was proven: there is no running pod to send from.';
  const untried = report.checks.some(({ id }) => id.startsWith('pod')) ? '' : ' No pod runs: no way of a pod was tried.';
  return failed === 0
    ? `The network keeps its word: ${attempted} of ${attempted} attempts as they must be, in ${time}.${untried}`
    : `The network does not keep its word: ${failed} of ${attempted} attempts failed, in ${time}.${untried}`;
}
