export * from './model.ts';
export { itemsOf, NftWriter } from './nft-writer.ts';
export { type Failure, type Operation, StaleError, type Writer } from './operations.ts';
export type { OwnerStatus } from './owner-statuses.ts';
export { Reconciler, type ReconcilerOptions, type SyncResult } from './reconciler.ts';
export { RtWriter } from './rt-writer.ts';
export { type Clock, Runner, type RunnerOptions, systemClock } from './runner.ts';
export { SysctlWriter } from './sysctl-writer.ts';
