import { Traffic } from './monitoring/traffic.ts';

/** What happened since the start, as plain numbers, for status; under the names that others know them by in monitoring/. */
export interface Metrics {
  /** Questions and answers; not in JSON, which has the figures that follow. */
  readonly traffic: Traffic;
  readonly queriesUdp: number;
  readonly queriesTcp: number;
  /** Not answered at all: answers, and what has no header. */
  ignored: number;
  /** By response code name. */
  readonly responses: Readonly<Record<string, number>>;
  readonly truncated: number;
  cacheHits: number;
  cacheMisses: number;
  forwarded: number;
  /** Tries that failed, by what went wrong. */
  upstreamFailures: Record<string, number>;
  /** Refused because too many were under way. */
  overload: number;
  /** Batches that the kernel would not take or give. */
  udpErrors: number;
  tcpConnections: number;
  tcpRefused: number;
  /** Faults of the program: the asker got SERVFAIL. */
  faults: number;
}

export function newMetrics(): Metrics {
  const traffic = new Traffic();
  const metrics = {
    get queriesUdp() {
      return traffic.received('udp');
    },
    get queriesTcp() {
      return traffic.received('tcp');
    },
    get responses() {
      return traffic.byRcode();
    },
    get truncated() {
      return traffic.truncated;
    },
    ...{ ignored: 0, cacheHits: 0, cacheMisses: 0, forwarded: 0, upstreamFailures: {}, overload: 0 },
    ...{ udpErrors: 0, tcpConnections: 0, tcpRefused: 0, faults: 0 },
  };
  return Object.defineProperty(metrics, 'traffic', { value: traffic, enumerable: false }) as typeof metrics & { traffic: Traffic };
}

export const count = (counters: Record<string, number>, name: string): void => {
  counters[name] = (counters[name] ?? 0) + 1;
};
