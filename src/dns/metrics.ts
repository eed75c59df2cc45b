/** What happened since the start, as plain numbers, for status and later for metrics under CoreDNS' names. */
export interface Metrics {
  queriesUdp: number;
  queriesTcp: number;
  /** Not answered at all: answers, and what has no header. */
  ignored: number;
  /** By response code name. */
  responses: Record<string, number>;
  truncated: number;
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

export const newMetrics = (): Metrics => ({
  ...{ queriesUdp: 0, queriesTcp: 0, ignored: 0, responses: {}, truncated: 0, cacheHits: 0, cacheMisses: 0, forwarded: 0 },
  ...{ upstreamFailures: {}, overload: 0, udpErrors: 0, tcpConnections: 0, tcpRefused: 0, faults: 0 },
});

export const count = (counters: Record<string, number>, name: string): void => {
  counters[name] = (counters[name] ?? 0) + 1;
};
