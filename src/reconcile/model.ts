import type { Chain, NftSetSpec, Rule, Table, TableFamily } from '../kernel/nftables/types.ts';
import type { Tbf } from '../kernel/rtnetlink/qdiscs.ts';
import type { IpAddr } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Prefix } from '../net/prefix.ts';

/**
 * One thing that the kernel of a node should hold. Plain data: the kernel writer applies it, the tracer walks a packet through it,
 * the doctor compares it with what the kernel really holds.
 */
export type Item =
  | Sysctl
  | Link
  | Address
  | Route
  | Neighbour
  | Proxy
  | Fdb
  | Qdisc
  | Redirect
  | NftTable
  | NftChain
  | NftSet
  | NftElement
  | NftCounter;

/** What a node's network should be: every item by its key (see `keyOf`). */
export type NodeNetwork = ReadonlyMap<string, Item>;

/** A file under /proc/sys of the node's network namespace; `name` with slashes, e.g. `net/ipv4/ip_forward`. */
export interface Sysctl {
  kind: 'sysctl';
  name: string;
  value: string;
  /** A kernel that has no such setting behaves as wanted. */
  optional?: true;
}

/** A link that podnet owns on the node. Pods' veths are made by CNI ADD and stand here so that drift is seen. */
export interface Link {
  kind: 'link';
  name: string;
  type: 'veth' | 'vxlan' | 'bridge' | 'ifb';
  mtu?: number;
  mac?: Mac;
  up: boolean;
  master?: string;
  vxlan?: { id: number; port: number; local: IpAddr; underlay: string };
}

export interface Address {
  kind: 'address';
  link: string;
  address: IpAddr;
  prefixLength: number;
}

/** A route with podnet's own protocol number (112). `destination` of length 0 is the default route. */
export interface Route {
  kind: 'route';
  destination: Prefix;
  type: 'unicast' | 'blackhole' | 'unreachable' | 'local';
  link?: string;
  gateway?: IpAddr;
  onlink?: boolean;
  /** RTA_PREFSRC: the node's own address, so that an address added later never becomes a source by accident. */
  source?: IpAddr;
  mtu?: number;
  table?: number;
}

export interface Neighbour {
  kind: 'neighbour';
  link: string;
  address: IpAddr;
  mac: Mac;
}

/**
 * The link answers ARP or ND for an address that is none of this machine's, with podnet's own protocol number (112). For IPv4 the address must be routed
 * to another link, and `ip_forward` be on; for IPv6 `forwarding` and the link's `proxy_ndp`.
 */
export interface Proxy {
  kind: 'proxy';
  link: string;
  address: IpAddr;
}

/** A VXLAN forwarding entry: frames to `mac` go to the node at `destination`. */
export interface Fdb {
  kind: 'fdb';
  link: string;
  mac: Mac;
  destination: IpAddr;
}

/** A token bucket filter on all that leaves by the link; a link without one has the qdisc that the kernel gives it. */
export interface Qdisc extends Tbf {
  kind: 'qdisc';
  link: string;
}

/** All that comes by the link leaves by another, an ifb, and comes in again behind it: where it can be shaped. */
export interface Redirect {
  kind: 'redirect';
  link: string;
  to: string;
}

/** podnet's own table; what is in the inet one does not name its family. `comment` is the version of the layout: another version is replaced as a whole. */
export interface NftTable extends Table {
  kind: 'nft-table';
}

/** A chain with its rules in order; rules are compared by their expressions, `text` is what `nft` prints. */
export interface NftChain extends Chain {
  kind: 'nft-chain';
  family?: TableFamily;
  /** Rules in place of these on a kernel that does not have an expression which they need: it was built without it, or its module is not there. */
  otherwise?: readonly Rule[];
}

/** A set or, with `data`, a map. */
export interface NftSet extends NftSetSpec {
  kind: 'nft-set';
  family?: TableFamily;
}

/** An element of a set or map; key and data as nft prints them, parts of a concatenation joined by ' . '. */
export interface NftElement {
  kind: 'nft-element';
  family?: TableFamily;
  set: string;
  key: string;
  data?: string;
}

/** A counter with a name, which rules count in and which outlives changes of their chain. What it has counted is nobody's wish. */
export interface NftCounter {
  kind: 'nft-counter';
  family?: TableFamily;
  name: string;
}

/** The canonical key of an item: its kind and what identifies it in the kernel. */
export function keyOf(item: Item): string {
  switch (item.kind) {
    case 'sysctl':
      return `sysctl ${item.name}`;
    case 'link':
      return `link ${item.name}`;
    case 'address':
      return `address ${item.link} ${item.address}`;
    case 'route':
      return `route ${item.table ?? 254} ${item.destination}`;
    case 'neighbour':
      return `neighbour ${item.link} ${item.address}`;
    case 'proxy':
      return `proxy ${item.link} ${item.address}`;
    case 'fdb':
      return `fdb ${item.link} ${item.mac}`;
    case 'qdisc':
      return `qdisc ${item.link}`;
    case 'redirect':
      return `redirect ${item.link}`;
    case 'nft-element':
      return `nft-element ${inTable(item)}${item.set} ${item.key}`;
    case 'nft-table':
    case 'nft-chain':
    case 'nft-set':
    case 'nft-counter':
      return `${item.kind} ${inTable(item)}${item.name}`;
  }
}

const inTable = ({ family = 'inet' }: { family?: TableFamily }): string => (family === 'inet' ? '' : `${family} `);
