import { thisMachine } from '../machine.ts';
import { measure, type Sample } from './measure.ts';
import { reportOf, textOf } from './report.ts';
import { scenarios } from './scenarios.ts';

/** `npm run bench -- lab`. @returns whether every budget was met */
export async function benchLab({ rounds, output }: { rounds: number; output: 'table' | 'json' }): Promise<boolean> {
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort(new Error('interrupted; nothing was left behind'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  const report = reportOf(thisMachine(), await measure({ rounds, signal: interrupt.signal, onSample: tell }));
  console.log(output === 'json' ? JSON.stringify(report, undefined, 2) : `\n${textOf(report)}`);
  return report.ok;
}

/** Progress goes to stderr: stdout is the result's. */
function tell({ scenario, round, upMs, downMs, loadAverage }: Sample): void {
  const { title } = scenarios.find(({ id }) => id === scenario)!;
  const times = `${(upMs / 1000).toFixed(2)} s, down ${(downMs / 1000).toFixed(2)} s, load average ${loadAverage.toFixed(1)}`;
  console.error(`round ${round}: ${title.padEnd(28)} ${times}`);
}
