import { type Ipam, keyText, type Lease } from '../../ipam/index.ts';
import type { IpAddr } from '../../net/ip.ts';
import { type PolicyPod, podKey } from '../../policy/world.ts';
import type { PodView } from '../watch/pod-view.ts';
import { notedTraits, type PodTraits, unknownLabels } from './pod-traits.ts';

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

  /**
   * Who has ended elsewhere is nobody any more; here the lease says until when somebody has the address, and until then it is that pod: a node that was lost
   * is told of pods in phase Failed whose containers run on.
   * @param but a lease that counts no more
   */
  planned(view: PodView, but?: Lease): PolicyPod {
    if (!this.isLocal(view)) return view;
    const leased = this.#leased(podKey(view), but).flatMap(({ addresses }) => addresses);
    if (leased.length > 0) return view.with({ addresses: leased, ended: false });
    // Those that another plugin gave; and of leases that were made anew from links, which do not know their pods.
    const unnamed = this.#ipam.leases().flatMap(({ notes, addresses }) => (notes.pod ? [] : addresses));
    const isUnnamed = (address: IpAddr): boolean => unnamed.some((other) => other.equals(address));
    const isForeign = (address: IpAddr): boolean => !this.#ipam.ranges.some((range) => range.contains(address));
    const addresses = view.addresses.filter((address) => isUnnamed(address) || (!view.ended && isForeign(address)));
    return view.with({ addresses, ended: view.ended && addresses.length === 0 });
  }

  /**
   * A pod that the API does not know, or not any more, as long as it has addresses here: its containers may run on. What is not known of it neither now nor by
   * its leases is `unknownLabels`.
   * @param last what was known of it
   */
  unknown(key: string, last?: PodTraits, but?: Lease): PolicyPod | undefined {
    const slash = key.indexOf('/');
    const leases = this.#leased(key, but);
    if (slash < 1 || leases.length === 0) return undefined;
    const { labels, ports } = last ?? traitsOf(leases) ?? { labels: unknownLabels, ports: [] };
    return {
      ...{ namespace: key.slice(0, slash), name: key.slice(slash + 1), labels, ports, node: this.#nodeName },
      ...{ addresses: leases.flatMap(({ addresses }) => addresses), hostNetwork: false, ended: false },
    };
  }

  /** Keys of all pods that have leases. */
  keys(): Set<string> {
    return new Set(this.#ipam.leases().flatMap(({ notes }) => notes.pod || []));
  }

  #leased(key: string, but: Lease | undefined): Lease[] {
    const former = but && keyText(but.key);
    return this.#ipam.leases().filter((lease) => lease.notes.pod === key && keyText(lease.key) !== former);
  }
}

/** What all of them tell, the newest one's: of sandboxes that follow each other one may be of a pod that was another. */
function traitsOf(leases: readonly Lease[]): PodTraits | undefined {
  if (!leases.every(({ notes }) => notes.traits)) return undefined;
  const [newest] = leases.toSorted((a, b) => ((a.notes.since ?? '') < (b.notes.since ?? '') ? 1 : -1));
  return notedTraits(newest!.notes.traits);
}
