import type { Expression } from '../kernel/nftables/expressions.ts';
import type { RulesetRule, RulesetTable } from '../kernel/nftables/index.ts';
import {
  and,
  type Bits,
  beBits,
  bytesBits,
  equals,
  hexBits,
  hexBytes,
  hostBits,
  hostNumber,
  lessThan,
  maskXor,
  not,
  slice,
  swap,
  type Tri,
  textBits,
  unknownBits,
  within,
} from './bits.ts';
import { factsOf, familyNumber, type Packet, statusBits } from './packet.ts';
import { lookUp } from './sets.ts';
import { type State, stateOf } from './state.ts';
import { extensionOf, xtMatch, xtTarget } from './xt.ts';

/** Where a rule sends the packet. */
export type Verdict =
  | { kind: 'accept' | 'drop' | 'return' | 'queue' }
  | { kind: 'reject' }
  | { kind: 'jump' | 'goto'; chain: string }
  | { kind: 'nat'; nat: 'snat' | 'dnat' };

export interface Evaluation {
  matches: Tri;
  /** More than one when a map's key is not known; then `matches` is 'unknown'. None: the packet goes on. */
  verdicts: Verdict[];
  /** State behind the rule, should it match. */
  after: State;
}

interface Machine {
  packet: Packet;
  table: RulesetTable;
  registers: Bits;
  matches: Tri;
  verdicts: Verdict[];
  state: State;
}

const registerBytes = 64;
/** Of the one rule that is being run. */
const registers = unknownBits(registerBytes);

/** Runs one rule on a packet. What cannot be told beforehand (rates, random numbers, foreign expressions) is 'unknown'. */
export function evaluate(rule: RulesetRule, packet: Packet, state: State, table: RulesetTable): Evaluation {
  registers.value.fill(0);
  registers.known.fill(0);
  const machine: Machine = { packet, table, registers, matches: true, verdicts: [], state };
  for (const expression of rule.expressions) {
    step(machine, expression);
    if (machine.matches === false) return { matches: false, verdicts: [], after: state };
    if (machine.verdicts.length > 0) break;
  }
  return { matches: machine.matches, verdicts: machine.verdicts, after: machine.state };
}

type Register = number | 'verdict' | undefined;

const read = ({ registers }: Machine, register: Register, length = 4): Bits =>
  typeof register === 'number' ? slice(registers, register * 4, length) : unknownBits(length);

/** Registers are filled up with zeros to four bytes, as the kernel does. */
function write({ registers }: Machine, register: Register, bits: Bits): unknown {
  if (typeof register !== 'number') return;
  const at = register * 4;
  const padded = (bits.value.length + 3) & ~3;
  for (let i = 0; i < padded && at + i < registerBytes; i++) {
    registers.value[at + i] = bits.value[i] ?? 0;
    registers.known[at + i] = i < bits.known.length ? bits.known[i]! : 0xff;
  }
}

const require = (machine: Machine, condition: Tri): unknown => (machine.matches = and(machine.matches, condition));
const bytesOf = (hex: string | undefined): Buffer => hexBytes(hex ?? '0x');
const set = (machine: Machine, change: Partial<State>): unknown => (machine.state = { ...machine.state, ...change });

function step(machine: Machine, expression: Expression): unknown {
  const { packet, state } = machine;
  switch (expression.name) {
    case 'payload':
      if (expression.sreg === undefined) write(machine, expression.dreg, payload(packet, expression));
      return;
    case 'meta':
      return meta(machine, expression);
    case 'ct':
      return conntrack(machine, expression);
    case 'cmp': {
      const wanted = bytesOf(expression.data);
      return require(machine, compare(expression.op ?? 'eq', read(machine, expression.sreg, wanted.length), wanted));
    }
    case 'range': {
      const [from, to] = [bytesOf(expression.from), bytesOf(expression.to)];
      const inside = within(read(machine, expression.sreg, from.length), from, to);
      return require(machine, expression.op === 'neq' ? not(inside) : inside);
    }
    case 'bitwise':
      return bitwise(machine, expression);
    case 'byteorder': {
      const length = expression.length ?? 4;
      return write(machine, expression.dreg, swap(read(machine, expression.sreg, length), expression.size ?? 4));
    }
    case 'immediate':
      if (expression.dreg === 'verdict') machine.verdicts = [verdictOf(expression.data ?? 'accept')];
      else write(machine, expression.dreg, hexBits(expression.data ?? '0x'));
      return;
    case 'lookup':
      return lookup(machine, expression);
    case 'fib':
      return fib(machine, expression);
    case 'reject':
      machine.verdicts = [{ kind: 'reject' }];
      return;
    case 'nat':
      machine.verdicts = [{ kind: 'nat', nat: expression.type === 'dnat' ? 'dnat' : 'snat' }];
      return;
    case 'masq':
      machine.verdicts = [{ kind: 'nat', nat: 'snat' }];
      return;
    case 'redir':
      machine.verdicts = [{ kind: 'nat', nat: 'dnat' }];
      return;
    case 'queue':
      machine.verdicts = [{ kind: 'queue' }];
      return;
    case 'notrack':
      set(machine, { untracked: true });
      return;
    case 'match':
      return require(machine, xtMatch(
        extensionOf(expression.match ?? '', expression.revision ?? 0, expression.info ?? '0x'),
        packet,
        state,
        machine.table.ipsets,
      ).matches);
    case 'target':
      return target(machine, expression);
    case 'objref':
      // Counters and helpers let everything pass; quotas and limits do not.
      if (expression.set !== undefined || expression.type === 'quota' || expression.type === 'limit') require(machine, 'unknown');
      return;
    case 'exthdr':
      // A packet here has no IPv6 extension headers; TCP's options are not known (op 1).
      if (expression.op === undefined && (expression.flags ?? 0) & 1)
        write(machine, expression.dreg, bytesBits(Uint8Array.of(0)));
      else if (expression.dreg !== undefined) write(machine, expression.dreg, unknownBits(expression.length ?? 4));
      return;
    case 'counter':
    case 'log':
      return;
    case 'limit':
    case 'dynset':
      return require(machine, 'unknown');
    case 'numgen':
    case 'hash':
      return write(machine, expression.dreg, unknownBits(4));
    case 'foreign':
      return foreign(machine, expression.kind);
  }
}

/** Expressions that podnet does not read: some are known to let everything pass, of the others nothing is. */
function foreign(machine: Machine, kind: string): void {
  if (kind === 'last') return;
  machine.registers.known.fill(0);
  machine.registers.value.fill(0);
  require(machine, 'unknown');
}

const nothing = unknownBits(0);

function payload(packet: Packet, { base, offset = 0, length = 4 }: { base?: string; offset?: number; length?: number }): Bits {
  const { network, transport } = factsOf(packet);
  return slice(base === 'network' ? network : base === 'transport' ? transport : nothing, offset, length);
}

function compare(op: string, a: Bits, b: Buffer): Tri {
  switch (op) {
    case 'eq':
      return equals(a, b);
    case 'neq':
      return not(equals(a, b));
    case 'lt':
      return lessThan(a, b);
    case 'gte':
      return not(lessThan(a, b));
    case 'lte':
      return within(a, new Uint8Array(b.length), b);
    default:
      return not(within(a, new Uint8Array(b.length), b));
  }
}

function bitwise(machine: Machine, { sreg, dreg, length = 4, mask, xor, op }: Expression & { name: 'bitwise' }): unknown {
  const value = read(machine, sreg, length);
  if (op === undefined) return write(machine, dreg, maskXor(value, bytesOf(mask), bytesOf(xor)));
  // Shifts, and operations on two registers.
  write(machine, dreg, unknownBits(length));
}

function meta(machine: Machine, { key, dreg, sreg }: Expression & { name: 'meta' }): unknown {
  const { packet, state } = machine;
  if (sreg !== undefined) {
    if (key === 'mark') set(machine, { mark: hostNumber(read(machine, sreg)) });
    if (key === 'priority') set(machine, { priority: hostNumber(read(machine, sreg)) });
    return;
  }
  // The packet's socket: there is none on the way through.
  if ((key === 'skuid' || key === 'skgid') && packet.in) require(machine, false);
  if (key === 'mark') return write(machine, dreg, state.mark === undefined ? unknownBits(4) : hostBits(state.mark, 4));
  if (key === 'priority')
    return write(machine, dreg, state.priority === undefined ? unknownBits(4) : hostBits(state.priority, 4));
  write(machine, dreg, factsOf(packet).meta.get(key ?? '') ?? unknownBits(16));
}

function conntrack(machine: Machine, { key, direction, dreg, sreg }: Expression & { name: 'ct' }): unknown {
  const { packet, state } = machine;
  if (sreg !== undefined) {
    if (key === 'mark') set(machine, { ctMark: hostNumber(read(machine, sreg)) });
    return;
  }
  if ((state.untracked || packet.state === 'invalid') && key !== 'state') return require(machine, false);
  const ends = direction === 'original' ? packet.opened : packet.answered;
  const address = (which: 'source' | 'destination'): Bits =>
    ends ? bytesBits(ends[which].bytes) : unknownBits(packet.opened[which].bytes.length);
  const port = (which: 'sourcePort' | 'destinationPort'): Bits => (ends ? beBits(ends[which], 2) : unknownBits(2));
  // Asked by family, of connections of the other one there is no answer.
  if (key?.startsWith('ip') && key.startsWith('ip6 ') !== (packet.family === 'ipv6')) return require(machine, false);
  const value = (): Bits => {
    switch (key) {
      case 'state':
        return hostBits(stateOf(packet, state), 4);
      case 'direction':
        return beBits(packet.direction === 'original' ? 0 : 1, 1);
      case 'status':
        return statusBits(packet);
      case 'mark':
        return state.ctMark === undefined ? unknownBits(4) : hostBits(state.ctMark, 4);
      case 'protocol':
        return beBits(packet.about ?? packet.protocol, 1);
      case 'l3protocol':
        return beBits(familyNumber[packet.family], 1);
      case 'zone':
        return hostBits(0, 2);
      case 'proto-src':
        return port('sourcePort');
      case 'proto-dst':
        return port('destinationPort');
      case 'ip saddr':
      case 'ip6 saddr':
        return address('source');
      case 'ip daddr':
      case 'ip6 daddr':
        return address('destination');
      default:
        return unknownBits(16);
    }
  };
  write(machine, dreg, value());
}

function lookup(machine: Machine, { set: name = '', sreg, dreg, flags }: Expression & { name: 'lookup' }): unknown {
  const set = machine.table.sets.get(name);
  if (!set) return require(machine, 'unknown');
  const { matches, data } = lookUp(set, read(machine, sreg, set.keyLength));
  if (dreg === undefined) return require(machine, flags === 1 ? not(matches) : matches);
  require(machine, matches);
  if (matches === false) return;
  if (dreg !== 'verdict') {
    const [only] = data;
    write(machine, dreg, data.length === 1 && only !== undefined ? hexBits(only) : unknownBits(only ? bytesOf(only).length : 4));
    return;
  }
  machine.verdicts = data.map(verdictOf);
  if (machine.verdicts.length !== 1) require(machine, 'unknown');
}

/** NFTA_FIB_F_…: source 1, destination 2, mark 4, iif 8, oif 16, present 32; RTN_LOCAL 2, RTN_UNICAST 1 */
function fib(machine: Machine, { result, flags = 0, dreg }: Expression & { name: 'fib' }): unknown {
  const { packet } = machine;
  const isSource = (flags & 1) !== 0;
  const local = isSource ? packet.isLocal.source : packet.isLocal.destination;
  if (result === 'type') {
    // Local to one link only: which one has the address is not looked at.
    return write(machine, dreg, local && flags & 0x18 ? unknownBits(4) : hostBits(local ? 2 : 1, 4));
  }
  // Packets come by the link that leads back to whoever sent them, and leave by the one that leads to whom they are for.
  const link = isSource ? packet.in : packet.out;
  if (!link) return write(machine, dreg, unknownBits(16));
  if (flags & 32) return write(machine, dreg, beBits(1, 1));
  write(machine, dreg, result === 'oif' ? hostBits(link.index, 4) : textBits(link.name, 16));
}

function target(machine: Machine, { target: name = '', revision = 0, info = '0x' }: Expression & { name: 'target' }): void {
  const { state, packet } = machine;
  const effect = xtTarget(extensionOf(name, revision, info), packet.family === 'ipv6');
  switch (effect.kind) {
    case 'reject':
    case 'queue':
      machine.verdicts = [{ kind: effect.kind }];
      return;
    case 'nat':
      machine.verdicts = [{ kind: 'nat', nat: effect.nat }];
      return;
    case 'mark':
      set(machine, { mark: state.mark === undefined ? undefined : ((state.mark & ~effect.mask) ^ effect.mark) >>> 0 });
      return;
    case 'mark-unknown':
      set(machine, { mark: undefined });
      return;
    case 'ct-mark':
      set(machine, { ctMark: undefined });
      return;
    case 'notrack':
      set(machine, { untracked: true });
      return;
    case 'unknown':
      require(machine, 'unknown');
  }
}

/** @param text as `readData` gives it: `accept`, `jump NAME`, … */
function verdictOf(text: string): Verdict {
  const [name, chain] = text.split(' ') as [string, string | undefined];
  if (name === 'jump' || name === 'goto') return { kind: name, chain: chain ?? '' };
  if (name === 'accept' || name === 'drop' || name === 'return') return { kind: name };
  return { kind: 'queue' };
}
