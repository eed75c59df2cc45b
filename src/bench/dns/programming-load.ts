/** How fast changes of the cluster come through while questions are asked. */
export interface ProgrammingResult {
  events: number;
  p50Ms: number;
  p99Ms: number;
  /** Asked for meanwhile, each second. */
  perSecond: number;
  lost: number;
  wrong: number;
}
