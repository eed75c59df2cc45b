import type { HealthState } from './health.ts';
import type { Resolver, ResolverCounters } from './resolver.ts';

/** One resolver, for people. */
export interface Description {
  server: string;
  /** The domain that it is asked for; absent: for all others. */
  domain?: string;
  looping: boolean;
  state: HealthState;
  /** Failures in a row. */
  fails: number;
  /** Smoothed round-trip time. */
  srttMs?: number;
  /** It does not keep the case of names (0x20). */
  anyCase?: true;
  connections: { open: number; made: number; reused: number };
  counters: ResolverCounters;
}

export const describeResolver = (resolver: Resolver, looping: boolean, domain: string | undefined): Description => {
  const { text: server, state, health, srttMs, keepsCase, pool, counters } = resolver;
  return {
    ...{ server, looping, state, fails: health.fails, counters },
    ...(domain === undefined ? {} : { domain }),
    ...(srttMs === undefined ? {} : { srttMs: Math.round(srttMs * 100) / 100 }),
    ...(keepsCase ? {} : { anyCase: true as const }),
    connections: { open: pool.open, made: pool.made, reused: pool.reused },
  };
};
