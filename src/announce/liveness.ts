import type { IpAddr } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';

export interface LivenessOptions {
  /** Asks the link who has a node's address. @param mac where it was last seen, undefined when everybody is to be asked */
  ask(address: IpAddr, mac: Mac | undefined): void;
  onChange(name: string, alive: boolean): void;
}

/** So many questions in a row without an answer, and a node is dead. */
export const patience = 3;

interface Peer {
  address: IpAddr;
  mac?: Mac;
  /** Asked since the last answer. */
  unanswered: number;
  alive: boolean;
}

/**
 * Which of the watched nodes are alive, by whether their kernel answers ARP or ND for their own address: one that does not takes no traffic either. An
 * agent that is dead or slow does not matter: the kernel goes on answering and forwarding.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #names = new Map<string, string>();

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** A node that is watched from now on counts as alive. */
  watch(peers: ReadonlyMap<string, IpAddr>): void {
    this.#names.clear();
    for (const [name, { address }] of this.#peers) if (!peers.get(name)?.equals(address)) this.#peers.delete(name);
    for (const [name, address] of peers) {
      this.#names.set(address.toString(), name);
      if (!this.#peers.has(name)) this.#peers.set(name, { address, unanswered: 0, alive: true });
    }
  }

  /** To be called at each interval. */
  tick(): void {
    for (const [name, peer] of [...this.#peers]) {
      if (peer.unanswered >= patience && peer.alive) {
        peer.alive = false;
        this.#options.onChange(name, false);
      }
      // It may have another MAC now: after one question that was not answered everybody is asked.
      this.#options.ask(peer.address, peer.unanswered === 0 ? peer.mac : undefined);
      peer.unanswered++;
    }
  }

  /** Somebody said to have this address. */
  heard(address: IpAddr, mac?: Mac): void {
    const name = this.#names.get(address.toString());
    const peer = name === undefined ? undefined : this.#peers.get(name);
    if (!peer) return;
    peer.unanswered = 0;
    if (mac) peer.mac = mac;
    if (peer.alive) return;
    peer.alive = true;
    this.#options.onChange(name!, true);
  }

  /** Nothing can be heard while the own link is down: nobody is judged by that. */
  forgive(): void {
    for (const peer of this.#peers.values()) peer.unanswered = 0;
  }
}
