import { type Bar, barChart } from '../svg.ts';
import { kinds } from './questions.ts';
import type { DnsReport } from './report.ts';

/** The highest load on one processor, kind by kind. */
export function pictureOf({ results }: DnsReport): string {
  const bars: Bar[] = results.rows
    .filter(({ what }) => what === 'highest')
    .map(({ server, kind, perSecond: { median } }) => ({
      ...{ label: `${kinds[kind]}: ${server}`, value: median / 1000, text: `${(median / 1000).toFixed(0)} k/s`, kind: server },
    }));
  return barChart('DNS answers on one processor', 'thousand a second', bars);
}
