import { CniError, cniCode } from '../../cni/errors.ts';
import type { AttachmentKey } from '../../cni/request.ts';
import type { Ipam, Lease } from '../../ipam/index.ts';
import type { Forgetter } from '../addresses/forgetter.ts';
import { unknownNetwork } from '../addresses/recover.ts';

export interface GarbageOptions {
  ipam: Ipam;
  forgetter: Forgetter;
  /** The lease of a key, perhaps one that is given its key now. */
  leaseOf: (key: AttachmentKey) => Lease | undefined;
  /** DEL. */
  delete: (key: AttachmentKey) => Promise<void>;
}

/**
 * Deletes every attachment of a network but the valid ones (CNI10).
 * @throws CniError that names those that could not be deleted, when all others are
 */
export async function collectGarbage(network: string, valid: readonly AttachmentKey[], options: GarbageOptions): Promise<void> {
  const { ipam, forgetter, leaseOf } = options;
  const problems: string[] = [];
  const deleteAll = async (leases: readonly Lease[]): Promise<void> => {
    for (const { key } of leases) {
      try {
        await options.delete(key);
      } catch (error) {
        problems.push(`${key.containerId} ${key.ifname}: ${(error as Error).message}`);
      }
    }
  };
  const known = valid.map((key) => leaseOf(key));
  await deleteAll(ipam.stale(network, valid));
  // When every attachment that shall stay has a lease that can be read, and there is no other network, nobody is behind those that cannot, and
  // behind those that were made anew from links.
  const isOnly = ipam.leases().every(({ key }) => key.network === network || key.network === unknownNetwork);
  if (isOnly && known.every((lease) => lease !== undefined)) {
    for (const { file } of ipam.damaged()) ipam.discardDamaged(file);
    await deleteAll(ipam.stale(unknownNetwork, []));
    forgetter.schedule();
  }
  if (problems.length > 0)
    throw new CniError(cniCode.internal, `${problems.length} attachments could not be deleted`, problems.join('; '));
}
