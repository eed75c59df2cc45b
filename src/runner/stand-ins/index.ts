export { createStandInRuntime } from './runtime.ts';
