import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import type { Family, IpAddr } from '../net/ip.ts';
import { IpAddr as Address } from '../net/ip.ts';
import { check } from './errors.ts';
import type { NetNs } from './netns.ts';
import type { Expression } from './nftables/expressions.ts';
import type { NftHookName, RulesetChain, RulesetRule, RulesetTable } from './nftables/ruleset.ts';
import { orClose, socketIn } from './sockets.ts';
import { nativeBuffer, sys } from './sys.ts';

// include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h, netfilter/x_tables.h
const sockRaw = 3;
const ipprotoRaw = 255;
/** IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; ip6_tables has the same numbers. */
const getInfo = 64;
const getEntries = 65;
const nameLength = 32;
const headerLength = 40;
const hookNames: readonly NftHookName[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const priorities: Record<string, number> = { raw: -300, mangle: -150, filter: 0, security: 50 };

const little = endianness() === 'LE';
const u16 = (from: Buffer, at: number): number => (little ? from.readUInt16LE(at) : from.readUInt16BE(at));
const u32 = (from: Buffer, at: number): number => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));

/** Where the fields of struct ipt_entry and ip6t_entry are. */
const layouts = {
  ipv4: {
    ...{ level: 0, address: 4, source: 0, destination: 4, sourceMask: 8, destinationMask: 12, inName: 16, outName: 32 },
    ...{
      inMask: 48,
      outMask: 64,
      protocol: 80,
      flags: 82,
      inverted: 83,
      targetOffset: 88,
      nextOffset: 90,
      packets: 96,
      matches: 112,
    },
    ...{ goto: 2, fragments: 1, names: 'ip_tables_names', any: '0.0.0.0' },
  },
  ipv6: {
    ...{ level: 41, address: 16, source: 0, destination: 16, sourceMask: 32, destinationMask: 48, inName: 64, outName: 80 },
    ...{
      inMask: 96,
      outMask: 112,
      protocol: 128,
      flags: 131,
      inverted: 132,
      targetOffset: 140,
      nextOffset: 142,
      packets: 152,
      matches: 168,
    },
    ...{ goto: 4, fragments: 0, names: 'ip6_tables_names', any: '::' },
  },
} as const;
type Layout = (typeof layouts)[Family];

/** IPT_INV_… */
const invert = { in: 1, out: 2, source: 8, destination: 0x10, protocol: 0x40 } as const;

/**
 * The rules of iptables-legacy, in the shape of nftables: the kernel runs both. Only tables that somebody uses are asked for, since asking for another
 * would make it. A rule's handle is its number in its chain.
 * @returns none where the kernel has no ip_tables
 */
export const readLegacyTables = (ns: NetNs | undefined): RulesetTable[] =>
  (['ipv4', 'ipv6'] as const).flatMap((family) => tablesOf(ns, family));

function tablesOf(ns: NetNs | undefined, family: Family): RulesetTable[] {
  const layout = layouts[family];
  const names = namesOf(ns, layout.names);
  if (names.length === 0) return [];
  const address: IpAddr = Address.parse(layout.any);
  const fd = socketIn(ns, address, sockRaw, ipprotoRaw, `a raw socket to read the tables of iptables by`);
  try {
    return orClose(fd, (number) => names.map((name) => readTable(number, layout, family, name)));
  } finally {
    if (!fd.closed) fd.close();
  }
}

function namesOf(ns: NetNs | undefined, file: string): string[] {
  const read = (): string => {
    try {
      return readFileSync(`/proc/thread-self/net/${file}`, 'latin1');
    } catch {
      return '';
    }
  };
  return (ns ? ns.enter(read) : read()).split('\n').filter(Boolean).sort();
}

function ask(fd: number, level: number, option: number, table: string, buffer: Buffer): void {
  buffer.write(table, 0, nameLength - 1, 'latin1');
  const length = Buffer.alloc(4);
  if (little) length.writeUInt32LE(buffer.length);
  else length.writeUInt32BE(buffer.length);
  check(`read table ${table} of iptables`, sys.getsockopt(fd, level, option, buffer, length));
}

function readTable(fd: number, layout: Layout, family: Family, name: string): RulesetTable {
  const info = nativeBuffer(84);
  ask(fd, layout.level, getInfo, name, info);
  const size = u32(info, 80);
  const whole = nativeBuffer(headerLength + size);
  if (little) whole.writeUInt32LE(size, nameLength);
  else whole.writeUInt32BE(size, nameLength);
  ask(fd, layout.level, getEntries, name, whole);
  const table: RulesetTable = {
    ...{ family: family === 'ipv4' ? 'ip' : 'ip6', name, legacy: true, dormant: false },
    ...{ chains: new Map<string, RulesetChain>(), sets: new Map() },
  };
  fill(table, Buffer.from(whole.subarray(headerLength)), info, layout);
  return table;
}

interface Entry {
  offset: number;
  bytes: Buffer;
  target: string;
  targetBytes: Buffer;
}

/** Chains stand one behind the other: built-in ones from their hook's entry to their policy, others from an entry with target ERROR that names them. */
function fill(table: RulesetTable, bytes: Buffer, info: Buffer, layout: Layout): void {
  const entries: Entry[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const size = u16(bytes, offset + layout.nextOffset);
    if (size < layout.matches || offset + size > bytes.length)
      throw new RangeError(`truncated: the entry at ${offset} of table ${table.name} says ${size} bytes of ${bytes.length}`);
    const entry = bytes.subarray(offset, offset + size);
    const targetBytes = entry.subarray(u16(entry, layout.targetOffset));
    entries.push({ offset, bytes: entry, target: text(targetBytes.subarray(2, 31)), targetBytes });
    offset += size;
  }
  const valid = u32(info, 32);
  const hooks = hookNames.map((hook, i) => ({ hook, start: u32(info, 36 + 4 * i), policy: u32(info, 56 + 4 * i) }));
  const used = hooks.filter((_, i) => valid & (1 << i));
  const starts = new Map(used.map(({ start, hook, policy }) => [start, { hook, policy }]));
  /** Where a jump leads: the first entry of a chain. */
  const names = new Map<number, string>();
  let chain: RulesetChain | undefined;
  let policyAt = -1;
  const members: { chain: RulesetChain; entry: Entry }[] = [];
  for (const entry of entries) {
    const base = starts.get(entry.offset);
    if (base) {
      chain = newChain(table, base.hook);
      policyAt = base.policy;
    } else if (entry.target === 'ERROR') {
      chain = { name: text(entry.targetBytes.subarray(32)), rules: [] };
      // The last entry of a table names no chain.
      if (entry !== entries.at(-1)) table.chains.set(chain.name, chain);
      names.set(entry.offset + entry.bytes.length, chain.name);
      continue;
    }
    if (!chain) continue;
    if (entry.offset === policyAt) {
      chain.hook!.policy = verdictOf(entry) === -1 ? 'drop' : 'accept';
      chain = undefined;
    } else members.push({ chain, entry });
  }
  for (const { chain: into, entry } of members)
    into.rules.push({ handle: into.rules.length + 1, expressions: expressionsOf(entry, layout, names, table.family === 'ip6') });
}

function newChain(table: RulesetTable, hook: NftHookName): RulesetChain {
  const nat = table.name === 'nat';
  // NF_IP_PRI_NAT_DST before, NF_IP_PRI_NAT_SRC behind.
  const priority = nat ? (hook === 'prerouting' || hook === 'output' ? -100 : 100) : (priorities[table.name] ?? 0);
  const chain: RulesetChain = {
    name: hook.toUpperCase(),
    hook: { type: nat ? 'nat' : 'filter', hook, priority, policy: 'accept', devices: [] },
    rules: [],
  };
  table.chains.set(chain.name, chain);
  return chain;
}

/** Of target '' (XT_STANDARD_TARGET): below zero a verdict, else where in the table to go on. */
const verdictOf = ({ targetBytes }: Entry): number => u32(targetBytes, 32) | 0;
const verdicts = new Map([
  [-1, 'drop'],
  [-2, 'accept'],
  [-5, 'return'],
]);

function expressionsOf(
  entry: Entry,
  layout: Layout,
  names: ReadonlyMap<number, string>,
  ipv6: boolean,
): RulesetRule['expressions'] {
  const { bytes } = entry;
  const inverted = bytes[layout.inverted]!;
  const list: Expression[] = [];
  const equal = (load: Expression, data: Uint8Array, not: number): void =>
    void list.push(load, { name: 'cmp', sreg: 0, op: not ? 'neq' : 'eq', data: hex(data) });
  const address = (at: number, maskAt: number, offset: number, not: number): void => {
    const mask = bytes.subarray(maskAt, maskAt + layout.address);
    if (mask.every((byte) => byte === 0)) return;
    list.push({ name: 'payload', dreg: 0, base: 'network', offset, length: layout.address });
    if (!mask.every((byte) => byte === 0xff))
      list.push({
        name: 'bitwise',
        sreg: 0,
        dreg: 0,
        length: layout.address,
        mask: hex(mask),
        xor: hex(new Uint8Array(mask.length)),
      });
    list.push({ name: 'cmp', sreg: 0, op: not ? 'neq' : 'eq', data: hex(bytes.subarray(at, at + layout.address)) });
  };
  address(layout.source, layout.sourceMask, ipv6 ? 8 : 12, inverted & invert.source);
  address(layout.destination, layout.destinationMask, ipv6 ? 24 : 16, inverted & invert.destination);
  const link = (at: number, maskAt: number, key: 'iifname' | 'oifname', not: number): void => {
    const length = bytes.subarray(maskAt, maskAt + 16).filter((byte) => byte !== 0).length;
    if (length > 0) equal({ name: 'meta', dreg: 0, key }, bytes.subarray(at, at + length), not);
  };
  link(layout.inName, layout.inMask, 'iifname', inverted & invert.in);
  link(layout.outName, layout.outMask, 'oifname', inverted & invert.out);
  const protocol = u16(bytes, layout.protocol);
  if (protocol !== 0) equal({ name: 'meta', dreg: 0, key: 'l4proto' }, Uint8Array.of(protocol), inverted & invert.protocol);
  // `-f`: further fragments only.
  if (bytes[layout.flags]! & layout.fragments) list.push({ name: 'match', match: 'frag', revision: 0, info: '0x' });
  for (let at: number = layout.matches; at < u16(bytes, layout.targetOffset); ) {
    const { name, revision, info, size } = extension(bytes.subarray(at));
    list.push({ name: 'match', match: name, revision, info: hex(info) });
    at += size;
  }
  const counter = bytes.subarray(layout.packets, layout.packets + 8);
  list.push({ name: 'counter', packets: Number(little ? counter.readBigUInt64LE() : counter.readBigUInt64BE()) });
  list.push(...targetOf(entry, layout, names));
  return list;
}

function targetOf(entry: Entry, layout: Layout, names: ReadonlyMap<number, string>): Expression[] {
  if (entry.target !== '') {
    const { name, revision, info } = extension(entry.targetBytes);
    return [{ name: 'target', target: name, revision, info: hex(info) }];
  }
  const verdict = verdictOf(entry);
  // A rule without a target goes on with the next.
  if (verdict === entry.offset + entry.bytes.length) return [];
  const verb = entry.bytes[layout.flags]! & layout.goto ? 'goto' : 'jump';
  const data = verdict < 0 ? (verdicts.get(verdict) ?? `verdict ${verdict}`) : `${verb} ${names.get(verdict) ?? ''}`;
  return [{ name: 'immediate', dreg: 'verdict', data }];
}

/** struct xt_entry_match and xt_entry_target: size, name, revision, then the extension's own. */
function extension(bytes: Buffer): { name: string; revision: number; info: Buffer; size: number } {
  const size = u16(bytes, 0);
  if (size < nameLength || size > bytes.length)
    throw new RangeError(`truncated: an extension of ${size} bytes, of ${bytes.length}`);
  return { name: text(bytes.subarray(2, 31)), revision: bytes[31]!, info: bytes.subarray(32, size), size };
}

const text = (bytes: Buffer): string => bytes.toString('latin1').replace(/\0.*$/s, '');
const hex = (bytes: Uint8Array): string => `0x${Buffer.from(bytes).toString('hex')}`;
