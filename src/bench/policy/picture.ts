import { type Bar, barChart } from '../svg.ts';
import type { PolicyReport } from './report.ts';

/** CPU of a transaction, podnet beside iptables. */
export function pictureOf({ results }: PolicyReport): string {
  const bars = results.traffic.map(({ series, kind, title, isPodnet, policies, cpuUs }): Bar => ({
    ...{ label: `${series}, ${kind}, ${title}`, value: cpuUs.median, text: `${cpuUs.median.toFixed(1)} us` },
    kind: isPodnet ? 'podnet' : policies === 0 ? 'no policies' : 'iptables and ipset',
  }));
  return barChart('CPU of a connection, a denied packet, either, a request', 'microseconds of a core', bars);
}
