export { type ProbeTarget, probeOnce } from './probe-once.ts';
