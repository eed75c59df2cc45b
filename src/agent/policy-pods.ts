import { type Ipam, keyText, type Lease } from '../ipam/index.ts';
import type { IpAddr } from '../net/ip.ts';
import { type PolicyPod, podKey } from '../policy/world.ts';
import type { PodView } from './pod-view.ts';

/** What leases know of who has which address of this node. */
export type Addresses = Pick<Ipam, 'leases' | 'ranges'>;

/**
 * Pods as policies are planned for: of this node's own pods it is the leases that say who has an address, from ADD to DEL. Their Pods learn of it later, and keep it
 * longer than their sandboxes do (NP20).
 */
export class PolicyPods {
  readonly #nodeName: string;
  readonly #ipam: Addresses;

  constructor(nodeName: string, ipam: Addresses) {
    this.#nodeName = nodeName;
    this.#ipam = ipam;
  }

  isLocal({ node, hostNetwork }: PolicyPod): boolean {
    return node === this.#nodeName && !hostNetwork;
  }

  /** @param but a lease that counts no more */
  planned(view: PodView, but?: Lease): PolicyPod {
    return this.isLocal(view) ? view.with({ addresses: this.#addressesOf(view, but) }) : view;
  }

  /**
   * A pod that the API does not know, or not any more, as long as it has addresses here: its containers may run on.
   * @param last what was known of it; without that its labels are not known, and it is isolated by what isolates all
   */
  unknown(key: string, last?: PodView, but?: Lease): PolicyPod | undefined {
    const slash = key.indexOf('/');
    const addresses = this.#leased(key, but);
    if (slash < 1 || addresses.length === 0) return undefined;
    if (last) return last.with({ addresses });
    return {
      ...{ namespace: key.slice(0, slash), name: key.slice(slash + 1), labels: {}, node: this.#nodeName },
      ...{ addresses, hostNetwork: false, ended: false, ports: [] },
    };
  }

  /** Keys of all pods that have leases. */
  keys(): Set<string> {
    return new Set(this.#ipam.leases().flatMap(({ notes }) => notes.pod || []));
  }

  #addressesOf(view: PodView, but: Lease | undefined): readonly IpAddr[] {
    const leased = this.#leased(podKey(view), but);
    if (leased.length > 0) return leased;
    // Those that another plugin gave; and of leases that were made anew from links, which do not know their pods.
    const unnamed = this.#ipam.leases().flatMap(({ notes, addresses }) => (notes.pod ? [] : addresses));
    return view.addresses.filter(
      (address) => !this.#ipam.ranges.some((range) => range.contains(address)) || unnamed.some((other) => other.equals(address)),
    );
  }

  #leased(key: string, but: Lease | undefined): IpAddr[] {
    const former = but && keyText(but.key);
    return this.#ipam
      .leases()
      .filter((lease) => lease.notes.pod === key && keyText(lease.key) !== former)
      .flatMap(({ addresses }) => addresses);
  }
}
