import type { Element } from '../kernel/nftables/index.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import type { NftElement } from '../reconcile/model.ts';
import { named, type Protocol } from './names.ts';
import { parseNumber, setKey } from './values.ts';

/** A connection as conntrack has it. */
export interface SeenConnection {
  destination: IpAddr;
  destinationPort: number;
  /** Source of the reply direction: who answers. */
  replySource: IpAddr;
  replySourcePort: number;
  state: 'open' | 'unanswered' | 'ended';
}

/** What is asked of the kernel to explain a Service, at the moment of asking. */
export interface KernelView {
  /** Looks keys of a set of the table up. */
  find(set: string, keys: readonly string[]): ReadonlyMap<string, Element>;
  /** Connections to any of these ports, whatever the address. */
  connections(family: Family, protocol: Protocol, ports: ReadonlySet<number>): Iterable<SeenConnection>;
  /** Clients with session affinity, of all Services: `set id . address` to the endpoint's number. */
  clients(family: Family): Iterable<Element>;
}

/** Connections of which this node translated the first packet: open, not answered yet, and ended but not forgotten (TIME_WAIT). */
export interface Connections {
  open: number;
  unanswered: number;
  ended: number;
}

export const noConnections = (): Connections => ({ open: 0, unanswered: 0, ended: 0 });

/** Of one service port: by destination (`10.96.0.1 80`) and by endpoint (`10.244.1.7 . 8080`). */
export interface CountedConnections {
  byDestination: Map<string, Connections>;
  byEndpoint: Map<string, Connections>;
}

/** Of one family and protocol, by the port that clients connected to. */
export type ConnectionsByPort = ReadonlyMap<number, readonly SeenConnection[]>;

/** Reads conntrack once, for all ports of a Service that has these in common: it may have a thousand of them. */
export function readConnections(kernel: KernelView, family: Family, protocol: Protocol, ports: ReadonlySet<number>): ConnectionsByPort {
  const found = new Map<number, SeenConnection[]>();
  for (const one of kernel.connections(family, protocol, ports)) {
    const others = found.get(one.destinationPort);
    if (others) others.push(one);
    else found.set(one.destinationPort, [one]);
  }
  return found;
}

export function countConnections(
  seen: ConnectionsByPort,
  destinations: readonly { address: string; port: number }[],
): CountedConnections {
  const byDestination = new Map(destinations.map(({ address, port }) => [`${address} ${port}`, noConnections()]));
  const byEndpoint = new Map<string, Connections>();
  for (const port of new Set(destinations.map((one) => one.port)))
    for (const { destination, destinationPort, replySource, replySourcePort, state } of seen.get(port) ?? []) {
      const to = byDestination.get(`${destination} ${destinationPort}`);
      // What was not translated came to nobody's endpoint.
      if (!to || (replySource.equals(destination) && replySourcePort === destinationPort)) continue;
      const key = `${replySource} . ${replySourcePort}`;
      let by = byEndpoint.get(key);
      if (!by) byEndpoint.set(key, (by = noConnections()));
      to[state]++;
      by[state]++;
    }
  return { byDestination, byEndpoint };
}

/** How many clients are remembered for each endpoint (`10.244.1.7 . 8080`). @param sets keys of the sets of endpoints that count */
export function countClients(
  kernel: KernelView,
  family: Family,
  elements: readonly NftElement[],
  sets: ReadonlySet<string>,
): Map<string, number> {
  const counts = new Map<string, number>();
  if (sets.size === 0) return counts;
  const endpoints = new Map(
    elements.filter(({ set }) => set === named('endpoints', family)).map(({ key, data }) => [key, data!]),
  );
  for (const { data = '' } of kernel.clients(family)) {
    // Who remembers an endpoint that is gone is given another.
    const endpoint = sets.has(setKey(parseNumber(data).setId)) ? endpoints.get(data) : undefined;
    if (endpoint !== undefined) counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return counts;
}

/** One element of the plan, and what the kernel has instead. */
export interface ElementState {
  set: string;
  /** As nft prints it: `10.96.0.1 . tcp . 80 : 0:2003` */
  element: string;
  /** What the set is for. */
  meaning: string;
  kernel: 'held' | 'missing' | 'other data';
  /** What the kernel holds in its place. */
  found?: string;
}

const textOf = ({ key, data }: Element): string => (data === undefined ? key : `${key} : ${data}`);

/** Compares elements with what the kernel holds now. @param meanings by set */
export function compareElements(
  kernel: KernelView,
  elements: readonly NftElement[],
  meanings: ReadonlyMap<string, string>,
): ElementState[] {
  const bySet = new Map<string, NftElement[]>();
  for (const element of elements) {
    const others = bySet.get(element.set);
    if (others) others.push(element);
    else bySet.set(element.set, [element]);
  }
  return Array.from(bySet, ([set, wanted]) => {
    const held = kernel.find(
      set,
      wanted.map(({ key }) => key),
    );
    return wanted.map((one): ElementState => {
      const found = held.get(one.key);
      const state = { set, element: textOf(one), meaning: meanings.get(set) ?? '' };
      if (!found) return { ...state, kernel: 'missing' };
      return found.data === one.data ? { ...state, kernel: 'held' } : { ...state, kernel: 'other data', found: textOf(found) };
    });
  }).flat();
}
