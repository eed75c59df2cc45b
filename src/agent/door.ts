import type { AttachmentKey } from '../cni/request.ts';
import { type DoorNode, planDoor, planGuest } from '../door/index.ts';
import { keyText } from '../ipam/index.ts';
import type { Nft } from '../kernel/nftables/index.ts';
import { type AttachMode, bridgeLink, type PodLink, podGroup, podMac } from '../links/index.ts';
import type { Item } from '../reconcile/model.ts';

/** The owner of what holds for all pods. */
export const doorOwner = 'door of pods';

/** The owner of the elements that let one pod in. */
export const guestOwner = (key: AttachmentKey): string => `door of ${keyText(key)}`;

/** The door of a node's pods. */
export class Door {
  readonly #mode: AttachMode;
  readonly #arp: boolean;

  /** @param arp whether the kernel filters ARP */
  constructor(mode: AttachMode, arp: boolean) {
    this.#mode = mode;
    this.#arp = arp;
  }

  /** What holds for all pods. */
  items(): Item[] {
    const node: DoorNode = { group: podGroup, arp: this.#arp };
    return planDoor(this.#mode.name === 'bridge' ? { ...node, bridge: bridgeLink } : node);
  }

  /** What lets one pod in. */
  guest(pod: PodLink): Item[] {
    return planGuest({ link: this.#mode.entrance(pod), mac: podMac(pod), addresses: pod.addresses }, this.#arp);
  }

  /** What the kernel cannot keep out. */
  problems(): string[] {
    return this.#arp ? [] : ["the kernel does not filter ARP (CONFIG_NF_TABLES_ARP): pods can fill the node's neighbour table"];
  }
}

/** How much was dropped, by reason. */
export const droppedAtDoor = (nft: Nft): Record<string, number> =>
  Object.fromEntries(
    [...nft.counters('podnet'), ...nft.counters('podnet', 'arp')].map(([name, { packets }]) => [
      name.replace(/^door-/, ''),
      packets,
    ]),
  );
