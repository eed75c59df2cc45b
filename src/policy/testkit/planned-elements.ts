import type { IpAddr } from '../../net/ip.ts';
import { IpRange } from '../../net/range.ts';
import type { Item, NftElement } from '../../reconcile/model.ts';
import { keyOf } from '../../reconcile/model.ts';
import type { Direction } from '../model.ts';
import type { Packet } from '../packet.ts';
import {
  classBits,
  defaultSet,
  parseValue,
  type PolicyPlanner,
  policySet,
  policySets,
  portsSet,
  protocolNames,
  rangesSet,
  rowsSet,
  valueText,
} from '../plan/index.ts';

/** What a planner wants in the kernel, by owner, and judged as the sets are meant: look-ups alone, without chains. */
export class PlannedElements {
  readonly byOwner = new Map<string, readonly Item[]>();
  #sets: Map<string, Map<string, string>> | undefined;
  #nets = new Map<string, { range: IpRange; data: string }[]>();

  /** @returns owners that changed */
  take(planner: PolicyPlanner): string[] {
    this.#sets = undefined;
    const owners: string[] = [];
    for (const [owner, items] of planner.changes()) {
      owners.push(owner);
      if (items.length > 0) this.byOwner.set(owner, items);
      else this.byOwner.delete(owner);
    }
    return owners;
  }

  get items(): NftElement[] {
    return [...this.byOwner.values()].flat().filter((item) => item.kind === 'nft-element');
  }

  /** As an observed kernel has them, with their sets. @throws Error when two owners want different things */
  network(): Map<string, Item> {
    const all = new Map(policySets.map((spec) => [keyOf({ kind: 'nft-set', ...spec }), { kind: 'nft-set', ...spec } as Item]));
    for (const item of this.items) {
      const known = all.get(keyOf(item)) as NftElement | undefined;
      if (known) throw new Error(`two owners want ${keyOf(item)}: ${known.data}, ${item.data}`);
      all.set(keyOf(item), item);
    }
    return all;
  }

  /** Whether the local end, by its policies of that direction, lets it pass. */
  allows(direction: Direction, { source, destination, protocol, port }: Packet): boolean {
    const [local, remote] = direction === 'egress' ? [source, destination] : [destination, source];
    const { family } = local;
    const usual = this.#get(defaultSet(direction, family), `${local}`);
    if (usual === undefined) return true;
    const itself = this.#get(policySet('policy-selves', family), `${source} . ${destination}`);
    const row = this.#get(rowsSet(direction, family), `${this.identityOf(remote)} . ${local}`);
    const text = itself ?? row ?? usual;
    const value = parseValue(text);
    if (protocol === 'ICMP') return (value & classBits.portless) !== 0;
    const place = `${protocolNames[protocol]} . ${port}`;
    const hasRanges = (value & classBits.hasRanges) !== 0;
    const listed = this.#get(portsSet, `${text} . ${place}`) ?? (hasRanges ? this.#rangeAt(text, place) : undefined);
    if (listed !== undefined) return parseValue(listed) !== 0;
    return (value & classBits.otherPorts) !== 0;
  }

  identityOf(address: IpAddr): string {
    const found = this.#get(policySet('policy-ids', address.family), `${address}`);
    if (found !== undefined) return found;
    this.#read();
    const nets = this.#nets.get(policySet('policy-nets', address.family)) ?? [];
    const inside = nets.filter(({ range }) => range.contains(address));
    if (inside.length > 1) throw new Error(`${address} is in ${inside.map(({ range }) => range).join(', ')}`);
    return inside[0]?.data ?? valueText(0);
  }

  #rangeAt(value: string, place: string): string | undefined {
    const [protocol, port] = place.split(' . ');
    for (const [key, data] of this.#read().get(rangesSet) ?? []) {
      const [one, other, range] = key.split(' . ');
      const [from, to] = range!.split('-').map(Number);
      if (one === value && other === protocol && from! <= Number(port) && Number(port) <= to!) return data;
    }
    return undefined;
  }

  #get(set: string, key: string): string | undefined {
    return this.#read().get(set)?.get(key);
  }

  #read(): Map<string, Map<string, string>> {
    if (this.#sets) return this.#sets;
    this.#sets = new Map();
    this.#nets = new Map();
    this.network();
    for (const { set, key, data = '' } of this.items) {
      const elements = this.#sets.get(set) ?? new Map<string, string>();
      this.#sets.set(set, elements.set(key, data));
      if (!/^policy-nets[46]$/.test(set)) continue;
      this.#nets.set(set, [...(this.#nets.get(set) ?? []), { range: IpRange.parse(key), data }]);
    }
    return this.#sets;
  }
}
