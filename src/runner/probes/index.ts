export { type NamedPort, type ProbeTarget, probeOnce } from './probe-once.ts';
export type { ProbeResult } from './result.ts';
