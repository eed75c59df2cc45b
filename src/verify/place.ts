import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import { Echoes } from './echoes.ts';
import { Station } from './station.ts';

export interface PlaceSpec {
  /** For people: `pod default/a`, `node n1`. */
  label: string;
  netns: string;
  addresses: readonly IpAddr[];
}

/** One network namespace with its addresses, where verify listens and sends. Addresses are told apart by family: the first of each counts. */
export class Place implements Disposable {
  readonly label: string;
  /** Path of the namespace. */
  readonly netns: string;
  readonly ns: NetNs;
  readonly stations: Partial<Record<Family, Station>> = {};
  readonly echoes: Partial<Record<Family, Echoes>> = {};
  readonly #owned: { address: IpAddr; mtu: number }[];
  readonly #addresses: readonly IpAddr[];

  private constructor({ label, netns, addresses }: PlaceSpec) {
    this.label = label;
    this.netns = netns;
    this.#addresses = addresses;
    this.ns = NetNs.open(netns);
    using rt = RtNetlink.open(this.ns);
    const mtus = new Map(rt.links().map((link) => [link.index, link.mtu]));
    this.#owned = rt.addresses().map(({ address, link }) => ({ address, mtu: mtus.get(link) ?? 0 }));
  }

  /** @throws KernelError when the namespace is gone, or an address is not on any interface (EADDRNOTAVAIL) */
  static open(spec: PlaceSpec, families: readonly Family[]): Place {
    const place = new Place(spec);
    try {
      for (const family of families) {
        const address = place.address(family);
        if (!address) continue;
        place.stations[family] = new Station(place.ns, address);
        place.echoes[family] = new Echoes(place.ns, address);
      }
      return place;
    } catch (error) {
      place[Symbol.dispose]();
      throw error;
    }
  }

  address(family: Family): IpAddr | undefined {
    return this.#addresses.find((address) => address.family === family);
  }

  /** `pod default/a (10.244.1.2)` */
  text(family: Family): string {
    return `${this.label} (${this.address(family)})`;
  }

  owns(address: IpAddr): boolean {
    return this.#owned.some((own) => own.address.equals(address));
  }

  /** MTU of the link that has the address; 0 when none has. */
  mtu(family: Family): number {
    const address = this.address(family);
    return this.#owned.find((own) => address && own.address.equals(address))?.mtu ?? 0;
  }

  [Symbol.dispose](): void {
    for (const part of [...Object.values(this.stations), ...Object.values(this.echoes)]) part[Symbol.dispose]();
    this.ns[Symbol.dispose]();
  }
}
