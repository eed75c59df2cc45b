import { isNotFound } from '../kernel/errors.ts';
import { type Nft, type NftSetSpec, NftTransactionError } from '../kernel/nftables/index.ts';
import { families, type IpAddr } from '../net/ip.ts';
import { named, tableName } from './names.ts';
import { allSets } from './sets.ts';

const maps: readonly NftSetSpec[] = families.map((family) => allSets.find(({ name }) => name === named('affinity', family))!);
/** Elements end by themselves between being read and being deleted. */
const attempts = 5;

/** What the kernel remembers of clients (SD16): written by packets, and by nobody else but for this. */
export class AffinityMemory {
  readonly #nft: Pick<Nft, 'elements' | 'transaction'>;

  constructor(nft: Pick<Nft, 'elements' | 'transaction'>) {
    this.#nft = nft;
  }

  /**
   * Forgets clients, in one pass over all: an address that was given back must not bring its next owner to the former one's endpoints (T19, F54).
   * @returns how many entries were deleted
   */
  forget(addresses: readonly IpAddr[]): number {
    const doomed = new Set(addresses.map(String));
    return this.forgetWhere((address) => doomed.has(address));
  }

  /** @param isDoomed by the client's address as text */
  forgetWhere(isDoomed: (address: string) => boolean): number {
    return maps.reduce((deleted, map) => deleted + this.#delete(map, isDoomed), 0);
  }

  #delete(map: NftSetSpec, isDoomed: (address: string) => boolean): number {
    for (let attempt = 1; ; attempt++) {
      try {
        const keys = this.#nft.elements(tableName, map).filter(({ key }) => isDoomed(key.split(' . ')[1]!));
        if (keys.length > 0) this.#nft.transaction(tableName, (t) => void t.deleteElements(map, keys));
        return keys.length;
      } catch (error) {
        // Of the table itself: there is nothing to forget.
        if (!(error instanceof NftTransactionError) && isNotFound(error)) return 0;
        if (attempt === attempts || !(error instanceof NftTransactionError) || error.errno !== 'ENOENT') throw error;
      }
    }
  }
}
