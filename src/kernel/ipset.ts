import { type Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Reader } from '../wire/reader.ts';
import { isNotFound } from './errors.ts';
import type { NetlinkBatch } from './netlink/batch.ts';
import { netlinkNetfilter } from './netlink/constants.ts';
import { NetlinkSocket } from './netlink/socket.ts';
import type { NetNs } from './netns.ts';

// include/uapi/linux/netfilter/ipset/ip_set.h
const subsystem = 6; // NFNL_SUBSYS_IPSET
export const ipsetCommand = { create: 2, destroy: 3, list: 7, add: 9, del: 10 } as const;
/** IPSET_PROTOCOL, Linux 4.20 */
const protocol = 7;
const listHeader = 4; // IPSET_FLAG_LIST_HEADER
const noMatch = 4; // IPSET_FLAG_NOMATCH
const familyOf = new Map<number, Family>([
  [2, 'ipv4'],
  [10, 'ipv6'],
]);

export interface IpSetElement {
  prefix: Prefix;
  /** Addresses in it are not in the set, whatever wider prefix holds them. */
  isException: boolean;
  /** It goes by itself. */
  expires: boolean;
}

/** A set of ip_set, as rules of iptables ask it (`-m set --match-set`). */
export interface IpSet {
  name: string;
  /** `hash:net` and the like. */
  type: string;
  /** undefined: it holds no addresses, or of both families. */
  family: Family | undefined;
  /** Of the types hash:ip (without a mask) and hash:net; undefined for all others, and where there are more than were wanted. */
  elements: IpSetElement[] | undefined;
}

/** By the number that rules have for them. */
export type IpSets = ReadonlyMap<number, IpSet>;

interface Header extends IpSet {
  index: number;
  masked: boolean;
  count: number;
}

/** Begins a message of ip_set: struct nfgenmsg and the version of the protocol. */
export const ipsetHeader = (batch: NetlinkBatch): NetlinkBatch => {
  batch.u8(0).u8(0).be16(0);
  return batch.attribute(1, (w) => w.u8(protocol));
};
export const ipsetType = (command: number): number => (subsystem << 8) | command;

/**
 * Reads the sets that rules name by these numbers; nothing is changed. To be asked only of numbers that rules have: a kernel without rules on sets may have no ip_set.
 * @param maxElements sets with more are told without them
 */
export function readIpSets(ns: NetNs | undefined, numbers: ReadonlySet<number>, maxElements = 20_000): IpSets {
  if (numbers.size === 0) return new Map();
  using socket = NetlinkSocket.open(netlinkNetfilter, ns, { receiveBufferBytes: 1 << 20 });
  const headers = list(socket, 'list ipsets', (batch) => batch.attribute(6, (w) => w.be32(listHeader)));
  const sets = new Map<number, IpSet>();
  for (const { index, masked, count, ...set } of headers) {
    if (!numbers.has(index)) continue;
    const isReadable = (set.type === 'hash:net' || set.type === 'hash:ip') && !masked && count <= maxElements;
    sets.set(index, isReadable ? { ...set, elements: elementsOf(socket, set.name, maxElements) } : set);
  }
  return sets;
}

function elementsOf(socket: NetlinkSocket, name: string, maximum: number): IpSetElement[] | undefined {
  try {
    const parts = list(socket, `list ipset ${name}`, (batch) => batch.attribute(2, (w) => w.cstring(name)));
    const elements = parts.flatMap((part) => part.elements ?? []);
    return elements.length > maximum ? undefined : elements;
  } catch (error) {
    // It went after it was listed.
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A set with many elements comes in several messages, of which only the first has its header. */
const list = (socket: NetlinkSocket, what: string, write: (batch: NetlinkBatch) => unknown): Header[] =>
  socket.dump(
    ipsetType(ipsetCommand.list),
    (batch) => void write(ipsetHeader(batch)),
    what,
    (type, reader) => (type >> 8 === subsystem ? headerOf(reader.skip(4)) : undefined),
  );

function headerOf(reader: Reader): Header {
  const set: Header = { name: '', type: '', family: undefined, elements: undefined, index: -1, masked: false, count: 0 };
  reader.eachAttribute((type, inner) => {
    if (type === 2) set.name = inner.cstring();
    else if (type === 3) set.type = inner.cstring();
    else if (type === 5) set.family = familyOf.get(inner.u8());
    else if (type === 11) set.index = inner.be16();
    else if (type === 7)
      inner.eachAttribute((attribute, data) => {
        // IPSET_ATTR_NETMASK, IPSET_ATTR_BITMASK (Linux 6.3, in the place of IPSET_ATTR_MARKMASK + 1), IPSET_ATTR_ELEMENTS
        if (attribute === 20 || attribute === 12) set.masked = true;
        else if (attribute === 24) set.count = data.be32();
      });
    else if (type === 8) {
      const elements: IpSetElement[] = [];
      inner.eachAttribute((_, element) => elements.push(...elementOf(element)));
      set.elements = elements;
    }
  });
  return set;
}

/** @returns none when it is no address or prefix */
function elementOf(reader: Reader): IpSetElement[] {
  let address: IpAddr | undefined;
  let length: number | undefined;
  let flags = 0;
  let expires = false;
  reader.eachAttribute((type, inner) => {
    if (type === 1) inner.eachAttribute((_, bytes) => void (address = IpAddr.fromBytes(bytes.rest())));
    else if (type === 3) length = inner.u8();
    else if (type === 6) expires = true;
    else if (type === 8) flags = inner.be32();
  });
  if (!address) return [];
  const prefix = length === undefined ? Prefix.host(address) : Prefix.of(address, length);
  return [{ prefix, isException: (flags & noMatch) !== 0, expires }];
}
