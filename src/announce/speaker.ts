import { KernelError } from '../kernel/errors.ts';
import { NeighbourDiscoverySocket } from '../kernel/neighbour-discovery.ts';
import type { NetNs } from '../kernel/netns.ts';
import { PacketSocket } from '../kernel/packets.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import {
  advertisedAddress,
  allNodes,
  arpQuestion,
  arpSender,
  gratuitousArp,
  ndSolicitation,
  solicitedNode,
  unsolicitedAdvertisement,
} from './messages.ts';

/** The link that is spoken on. */
export interface SpeakerLink {
  /** ifindex */
  index: number;
  mac: Mac;
  /** Those in which the node has an address. */
  families: readonly Family[];
}

/**
 * Says and asks on the uplink, by ARP and Neighbour Discovery, what the kernel does not: who has an address from now on, and whether a node is there. The
 * kernel itself answers questions. Frames that cannot be sent (the link is down) are lost, as on the wire.
 */
export class Speaker implements Disposable {
  readonly #link: SpeakerLink;
  readonly #arp: PacketSocket;
  /** Absent on a node without IPv6, whose kernel may have none. */
  readonly #nd: NeighbourDiscoverySocket | undefined;
  readonly #watches: Disposable[];

  /**
   * @param heard a node says to have an address; with its MAC where that is told
   * @throws KernelError
   */
  constructor(ns: NetNs, link: SpeakerLink, heard: (address: IpAddr, mac?: Mac) => void) {
    this.#link = link;
    this.#arp = new PacketSocket(ns, link.index, 'arp');
    try {
      this.#nd = link.families.includes('ipv6') ? new NeighbourDiscoverySocket(ns, link.index) : undefined;
    } catch (error) {
      this.#arp[Symbol.dispose]();
      throw error;
    }
    const ignore = (): void => {};
    this.#watches = [
      this.#arp.watch((frame) => {
        const said = arpSender(frame);
        if (said) heard(said.sender, said.senderMac);
      }, ignore),
    ];
    if (this.#nd)
      this.#watches.push(
        this.#nd.watch((message) => {
          const address = advertisedAddress(message);
          if (address) heard(address);
        }, ignore),
      );
  }

  /** Who has this address by another MAC learns the one of this node. */
  announce(address: IpAddr): void {
    const { mac } = this.#link;
    if (address.family === 'ipv6') lossy(() => this.#nd?.send(allNodes, unsolicitedAdvertisement(address, mac)));
    else for (const frame of gratuitousArp(address, mac)) lossy(() => this.#arp.send(frame));
  }

  /**
   * Asks whether a node is there.
   * @param own address to ask from, of the family of `target`
   * @param to where it was last seen, else everybody is asked
   */
  ask(target: IpAddr, own: IpAddr, to?: Mac): void {
    const { mac } = this.#link;
    if (target.family === 'ipv6') lossy(() => this.#nd?.send(solicitedNode(target), ndSolicitation(target, mac)));
    else lossy(() => this.#arp.send(arpQuestion(target, own, mac, to)));
  }

  [Symbol.dispose](): void {
    for (const part of [...this.#watches, this.#arp, this.#nd]) part?.[Symbol.dispose]();
  }
}

function lossy(send: () => void): void {
  try {
    send();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
