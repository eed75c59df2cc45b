import type { Spread } from '../stats.ts';

/** Connections through randomly chosen Services of a node that has so many. */
export interface TrafficSample {
  title: string;
  services: number;
  isNull: boolean;
  connections: number;
  perSecond: Spread;
  p50Us: number;
  p99Us: number;
  /** Of a core for each connection, both ends and all that the kernel does. */
  cpuUs: Spread;
  /** Its CPU over that of the node of one Service in the blocks beside it: median and quartiles. */
  relative: Spread;
}
