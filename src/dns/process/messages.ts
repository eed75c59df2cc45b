import type { DnsConfig } from '../config.ts';

/** 0 to 2 are the standard ones, 3 is the channel to the parent. */
export const firstSocket = 4;

/** What the parent tells a worker. */
export type ToWorker =
  /** First. The worker has inherited the sockets: their names (socket-names.ts) in the order of its descriptors from `firstSocket` on. */
  | { type: 'begin'; config: DnsConfig; sockets: string[] }
  /** Take questions. */
  | { type: 'serve' }
  /** Take none: another one does. */
  | { type: 'pause' }
  /** Take none any more, finish what is under way, and end. */
  | { type: 'retire' }
  | { type: 'ping' }
  /** Who the other one is, for the case that the parent is gone, and whether it knows all names. */
  | { type: 'other'; pid?: number; known?: boolean };

/** What a worker tells its parent. */
export type FromWorker =
  /** It can serve; cluster names are SERVFAIL until it knows them. */
  | { type: 'up' }
  /** It knows the cluster's names. */
  | { type: 'known' }
  | { type: 'serving' }
  | { type: 'pong' }
  /** It cannot begin: a wrong configuration. */
  | { type: 'failed'; message: string };
