import type { Conntrack, ConntrackEntry } from '../../kernel/conntrack.ts';
import type { IpAddr } from '../../net/ip.ts';
import { isUntranslated, type UdpEntry, UdpServices } from '../../services/index.ts';

type Candidate = UdpEntry & { entry: ConntrackEntry };

/** Deletes conntrack entries of UDP that lead to endpoints which serve no more (SD25). */
export class StaleUdp {
  readonly services = new UdpServices();
  readonly #conntrack: Pick<Conntrack, 'list' | 'deleteAll'>;

  constructor(conntrack: Pick<Conntrack, 'list' | 'deleteAll'>) {
    this.#conntrack = conntrack;
  }

  /**
   * To be called when the kernel was written to.
   * @param complete it holds all that was planned. What it refused may still make stale entries, which are looked for again then.
   * @returns how many entries were deleted
   */
  clean(complete: boolean): number {
    const deleted = this.services.mayHaveStale ? this.#delete((entry) => this.services.isStale(entry)) : 0;
    if (complete) this.services.settled();
    return deleted;
  }

  /** Entries that this node's own DNS answered, once it does no more: their next packets go to another. */
  forgetAnswered(addresses: readonly IpAddr[], port: number): number {
    return this.#delete(
      (entry) =>
        entry.destinationPort === port && isUntranslated(entry) && addresses.some((address) => address.equals(entry.destination)),
    );
  }

  #delete(isDoomed: (entry: UdpEntry) => boolean): number {
    const doomed = this.#conntrack.list({ protocol: 'udp' }).map(candidate).filter(isDoomed);
    return doomed.length === 0 ? 0 : this.#conntrack.deleteAll(doomed.map(({ entry }) => entry));
  }
}

const candidate = (entry: ConntrackEntry): Candidate => ({
  entry,
  destination: entry.original.destination,
  destinationPort: entry.original.destinationPort ?? 0,
  replySource: entry.reply.source,
  replySourcePort: entry.reply.sourcePort ?? 0,
});
