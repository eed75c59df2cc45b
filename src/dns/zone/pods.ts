import { IpAddr } from '../../net/ip.ts';
import { ClientAddress } from '../wire/client.ts';
import type { PodFacts } from './facts.ts';

/** Which pod has which address: who asks. One look-up for each address, whatever the number of pods. */
export class PodIndex {
  readonly #byKey = new Map<string, PodFacts>();
  /** Several while an address passes from one pod to another (F54). */
  readonly #byAddress = new Map<number | string, PodFacts[]>();
  readonly #scratch = new ClientAddress();

  get size(): number {
    return this.#byKey.size;
  }

  /** @param key `namespace/name` */
  get(key: string): PodFacts | undefined {
    return this.#byKey.get(key);
  }

  /** @param facts undefined: it is gone */
  set(key: string, facts: PodFacts | undefined): void {
    const before = this.#byKey.get(key);
    if (before) this.#each(before, (address, pods) => this.#put(address, pods.filter((pod) => pod !== before)));
    if (!facts) this.#byKey.delete(key);
    else {
      this.#byKey.set(key, facts);
      this.#each(facts, (address, pods) => this.#put(address, [...pods, facts]));
    }
  }

  /** The one pod that has this address; undefined also when it is not known which of several. */
  at(client: ClientAddress): PodFacts | undefined {
    if (client.family === 0) return undefined;
    const pods = this.#byAddress.get(keyOf(client));
    return pods?.length === 1 ? pods[0] : undefined;
  }

  /** Whether any pod has this address. */
  knows(client: ClientAddress): boolean {
    return client.family !== 0 && this.#byAddress.has(keyOf(client));
  }

  /** Pods of the host's network have no address of their own. */
  #each({ ips, hostNetwork }: PodFacts, visit: (address: number | string, pods: readonly PodFacts[]) => void): void {
    if (hostNetwork) return;
    for (const text of ips) {
      const address = IpAddr.tryParse(text);
      if (!address) continue;
      if (address.family === 'ipv4') this.#scratch.setIpv4(address.bytes, 0);
      else this.#scratch.setIpv6(address.bytes, 0);
      const key = keyOf(this.#scratch);
      visit(key, this.#byAddress.get(key) ?? []);
    }
  }

  #put(address: number | string, pods: PodFacts[]): void {
    if (pods.length > 0) this.#byAddress.set(address, pods);
    else this.#byAddress.delete(address);
  }
}

/** IPv4: the address as a number. IPv6: eight characters of 16 bits. */
function keyOf({ family, words }: ClientAddress): number | string {
  if (family === 4) return words[0]!;
  let key = '';
  for (const word of words) key += String.fromCharCode(word >>> 16, word & 0xffff);
  return key;
}
