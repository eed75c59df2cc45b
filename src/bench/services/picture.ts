import { type Bar, barChart } from '../svg.ts';
import { sizeName } from './plan.ts';
import type { ServicesReport } from './report.ts';

/** What an event takes, podnet beside kube-proxy's layouts, at ten endpoints for each Service. */
export function pictureOf({ results }: ServicesReport): string {
  const bars: Bar[] = [];
  for (const { size, kind, p50Ms } of results.changes)
    if (size.endpoints === 10 * size.services)
      bars.push({ label: `${kind}, ${sizeName(size)}`, value: p50Ms, text: `${p50Ms.toFixed(2)} ms`, kind: 'podnet, event to kernel' });
  for (const { peer, size, what, ms } of results.peers)
    if (what !== 'load') bars.push({ label: `${what}, ${sizeName(size)}`, value: ms.median, text: `${ms.median.toFixed(0)} ms`, kind: peer });
  bars.sort((a, b) => a.label.localeCompare(b.label, 'en', { numeric: true }));
  return barChart('One change of a Service', 'milliseconds', bars);
}
