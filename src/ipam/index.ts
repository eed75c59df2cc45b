export { thisBoot } from './boot.ts';
export { IpamError, type IpamFault } from './errors.ts';
export type { Hold } from './holds.ts';
export { hostLocalLeases } from './host-local.ts';
export { type DamagedLease, Ipam, type IpamOptions, type PoolUse } from './ipam.ts';
export { keyText, type Lease, type LeaseKey, type LeaseNotes } from './lease.ts';
