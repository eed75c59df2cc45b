export { thisBoot } from './boot.ts';
export { IpamError, type IpamFault } from './errors.ts';
export type { ToForget } from './former-users.ts';
export type { Hold } from './holds.ts';
export { hostLocalLeases } from './host-local.ts';
export { Ipam, type IpamOptions } from './ipam.ts';
export { keyText, type Lease, type LeaseKey, type LeaseNotes } from './lease.ts';
export type { PoolUse } from './pools.ts';
