import type { AttachmentKey } from '../../cni/request.ts';
import { bridgeCounters, type DoorNode, planDoor, planGuest } from '../../door/index.ts';
import { keyText } from '../../ipam/index.ts';
import type { Nft } from '../../kernel/nftables/index.ts';
import { type AttachMode, bridgeLink, type PodLink, podGroup, podMac } from '../../links/index.ts';
import type { Item } from '../../reconcile/model.ts';
import { isKindCounter } from '../policy/layout.ts';

/** The owner of what holds for all pods. */
export const doorOwner = 'door of pods';

/** The owner of the elements that let one pod in. */
export const guestOwner = (key: AttachmentKey): string => `door of ${keyText(key)}`;

/** What the door needs of the kernel. */
export type DoorKernel = Pick<Nft, 'supports' | 'counters'>;

/** The door of a node's pods. */
export class Door {
  readonly #nft: DoorKernel;
  readonly #mode: AttachMode;
  readonly #arp: boolean;
  /** Whether frames are counted at the bridge. */
  readonly #frames: boolean;
  /** The most frames that were seen to be dropped by the bridge. */
  #dropped = 0;

  constructor(mode: AttachMode, nft: DoorKernel) {
    this.#nft = nft;
    this.#mode = mode;
    this.#arp = nft.supports('arp');
    this.#frames = mode.name === 'bridge' && nft.supports('bridge');
  }

  /** What holds for all pods. */
  items(): Item[] {
    const node: DoorNode = { group: podGroup, arp: this.#arp, frames: this.#frames };
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

  /** How much was dropped, by reason. */
  dropped(): Record<string, number> {
    const counted = [...this.#nft.counters('podnet'), ...this.#nft.counters('podnet', 'arp')].filter(([name]) => !isKindCounter(name));
    const reasons = counted.map(([name, { packets }]) => [name.replace(/^door-/, ''), packets]);
    return { ...Object.fromEntries(reasons), ...(this.#frames ? { frame: this.#droppedFrames() } : {}) };
  }

  /** Behind the port are counted also those that came between the two readings, so the difference may be too small, never too large. */
  #droppedFrames(): number {
    const read = (name: string): number => this.#nft.counters('podnet', 'bridge').get(name)?.packets ?? 0;
    const came = read(bridgeCounters.came);
    this.#dropped = Math.max(this.#dropped, came - read(bridgeCounters.passed));
    return this.#dropped;
  }
}
