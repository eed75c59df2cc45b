export * from './model.ts';
export { itemsOf, NftWriter } from './nft-writer.ts';
export type { Operation, Writer } from './operations.ts';
export { Reconciler, type SyncResult } from './reconciler.ts';
export { RtWriter } from './rt-writer.ts';
export { Runner } from './runner.ts';
export { SysctlWriter } from './sysctl-writer.ts';
