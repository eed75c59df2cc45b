export type { LineLog } from './log.ts';
export { probePort } from './ports.ts';
export { createStandInRuntime, type StandInOptions } from './runtime.ts';
