/** What happened while forwarding, as plain numbers; see metrics for the names they have for others. */
export interface ForwardCounters {
  /** Answers out of the cache: records, and absences or failures. */
  hitsSuccess: number;
  hitsDenial: number;
  misses: number;
  /** Asked for while somebody else's question for the same was under way. */
  joined: number;
  /** Asked for anew before their end, since they are asked for often. */
  prefetches: number;
  /** Answers past their end, given since no resolver answered (RFC 8767). */
  servedStale: number;
  /** Not forwarded: too many under way in all, or from one source. */
  rejectedTotal: number;
  rejectedSource: number;
  /** Datagrams that came to a question's socket and were not its answer (T30), by what was wrong. */
  strays: Record<string, number>;
  /** Questions asked again over TCP: the answer was cut, or somebody seems to be guessing. */
  overTcp: Record<string, number>;
  /** Every resolver of a group was down when one was asked all the same. */
  allDown: number;
}

export const newForwardCounters = (): ForwardCounters => ({
  ...{ hitsSuccess: 0, hitsDenial: 0, misses: 0, joined: 0, prefetches: 0, servedStale: 0 },
  ...{ rejectedTotal: 0, rejectedSource: 0, strays: {}, overTcp: {}, allDown: 0 },
});
