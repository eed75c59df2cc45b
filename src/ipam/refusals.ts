import type { IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { IpamError } from './errors.ts';
import type { Hold } from './holds.ts';
import type { Lease } from './lease.ts';
import type { DamagedLease } from './lease-files.ts';
import type { PoolUse } from './pools.ts';

/** What stands in an address's way. */
export interface InUse {
  leases: readonly Lease[];
  damaged: readonly DamagedLease[];
  held: readonly Hold[];
}

/** Somebody wants the very address. @param ranges that addresses are given from */
export function refused(address: IpAddr, { leases, held }: InUse, ranges: readonly Prefix[]): IpamError {
  const holder = leases.find(({ addresses }) => addresses.some((one) => one.equals(address)));
  const hold = held.find((one) => one.address.equals(address));
  const why = holder ? `${holderText(holder)} has it` : (hold?.why ?? `it is none that pods get from ${ranges.join(' and ')}`);
  return new IpamError('refused', `the address ${address} that was asked for cannot be had: ${why}`);
}

export function exhausted({ prefix, used, capacity }: PoolUse, { leases, damaged }: InUse): IpamError {
  const torn = damaged.filter((one) => one.addresses.some((address) => prefix.contains(address))).length;
  const unread = torn > 0 ? `, ${torn} of them by leases that cannot be read` : '';
  return new IpamError(
    'exhausted',
    `no address is left in ${prefix}: ${used} of ${capacity} are in use${unread}, e.g. ${someHolders(prefix, leases)}; delete pods here, or give the node a larger pod CIDR`,
  );
}

function someHolders(prefix: Prefix, leases: readonly Lease[]): string {
  const shown = leases
    .filter(({ addresses }) => addresses.some((address) => prefix.contains(address)))
    .slice(0, 3)
    .map((lease) => `${lease.addresses.find((address) => prefix.contains(address))} by ${holderText(lease)}`);
  return shown.join(', ') || 'none that is known';
}

const holderText = ({ key, notes }: Lease): string => notes.pod || `container ${key.containerId.slice(0, 13)}`;
