import type { Expression } from '../kernel/nftables/expressions.ts';
import type { RulesetRule, RulesetTable } from '../kernel/nftables/index.ts';
import { IpAddr } from '../net/ip.ts';
import type { Packet } from '../walk/packet.ts';
import { freshState } from '../walk/state.ts';
import { extensionOf, xtMatch, xtTarget } from '../walk/xt.ts';

/** What stands in a register, and how its bytes read. */
interface Held {
  words: string;
  read: (bytes: Buffer) => string;
}

const hex = (bytes: Buffer): string => `0x${bytes.toString('hex')}`;
const bigEndian = (bytes: Buffer): string => (bytes.length <= 6 ? `${bytes.readUIntBE(0, bytes.length)}` : hex(bytes));
const hostEndian = (bytes: Buffer): string => {
  const number = bytes.length <= 6 ? bytes.readUIntLE(0, bytes.length) : undefined;
  return number === undefined ? hex(bytes) : `${number}`;
};
const hostHex = (bytes: Buffer): string => `0x${Number(hostEndian(bytes)).toString(16)}`;
const textual = (bytes: Buffer): string => {
  const end = bytes.indexOf(0);
  // A shorter compare is a prefix: nft writes it with a star.
  return `"${bytes.toString('utf8', 0, end < 0 ? bytes.length : end)}${end < 0 && bytes.length < 16 ? '*' : ''}"`;
};
const address = (bytes: Buffer): string =>
  bytes.length === 4 || bytes.length === 16 ? `${IpAddr.fromBytes(bytes)}` : addressPrefix(bytes);
/** Whole bytes of an address alone, as nft loads prefixes: which family they are of follows from the load. */
const addressPrefix = (bytes: Buffer): string => `${[...bytes].join('.')}/${bytes.length * 8}`;
const ip6Prefix = (bytes: Buffer): string =>
  `${IpAddr.fromBytes(Buffer.concat([bytes, Buffer.alloc(16 - bytes.length)]))}/${bytes.length * 8}`;
const ip4Prefix = (bytes: Buffer): string =>
  `${IpAddr.fromBytes(Buffer.concat([bytes, Buffer.alloc(4 - bytes.length)]))}/${bytes.length * 8}`;

const protocols = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
]);
const protocol = (bytes: Buffer): string => protocols.get(bytes[0] ?? 0) ?? `${bytes[0]}`;
const states: readonly (readonly [number, string])[] = [
  [1, 'invalid'],
  [2, 'established'],
  [4, 'related'],
  [8, 'new'],
  [64, 'untracked'],
];
const stateList = (bytes: Buffer): string => {
  const bits = Number(hostEndian(bytes));
  return (
    states
      .filter(([bit]) => bits & bit)
      .map(([, name]) => name)
      .join(',') || '0'
  );
};
const types = ['unspec', 'unicast', 'local', 'broadcast', 'anycast', 'multicast', 'blackhole', 'unreachable', 'prohibit'];

const metaReads: Partial<Record<string, Held['read']>> = {
  ...{ iifname: textual, oifname: textual, iif: hostEndian, oif: hostEndian, mark: hostHex, iifgroup: hostEndian },
  ...{ oifgroup: hostEndian, l4proto: protocol, nfproto: (bytes: Buffer) => (bytes[0] === 2 ? 'ipv4' : 'ipv6') },
  skuid: hostEndian,
};
const bareMeta = new Set(['iif', 'oif', 'iifname', 'oifname']);

function payloadHeld({ base, offset = 0, length = 4 }: Expression & { name: 'payload' }): Held {
  const at = `${base} ${offset} ${length}`;
  if (base === 'network') {
    const whole4 = offset === 12 ? 'ip saddr' : offset === 16 ? 'ip daddr' : undefined;
    if (whole4 && length <= 4) return { words: whole4, read: length === 4 ? address : ip4Prefix };
    const whole6 = offset === 8 ? 'ip6 saddr' : offset === 24 ? 'ip6 daddr' : undefined;
    if (whole6 && length <= 16) return { words: whole6, read: length === 16 ? address : ip6Prefix };
    if (at === 'network 9 1') return { words: 'ip protocol', read: protocol };
    if (at === 'network 6 1') return { words: 'ip6 nexthdr', read: protocol };
  }
  if (at === 'transport 0 2') return { words: 'sport', read: bigEndian };
  if (at === 'transport 2 2') return { words: 'dport', read: bigEndian };
  if (at === 'transport 13 1') return { words: 'tcp flags', read: hex };
  return { words: `@${base},${offset * 8},${length * 8}`, read: hex };
}

const operators: Record<string, string> = { eq: '', neq: '!= ', lt: '< ', lte: '<= ', gt: '> ', gte: '>= ' };

/** A packet to ask matches for their words with. */
const anyPacket: Packet = {
  ...{ family: 'ipv4', protocol: 6, sourcePort: 1, destinationPort: 1, state: 'new', direction: 'original' },
  ...{ source: IpAddr.parse('0.0.0.0'), destination: IpAddr.parse('0.0.0.0'), isLocal: { source: false, destination: false } },
  opened: { source: IpAddr.parse('0.0.0.0'), destination: IpAddr.parse('0.0.0.0'), sourcePort: 1, destinationPort: 1 },
};

const rejects = {
  icmp: ['net-unreachable', 'host-unreachable', 'prot-unreachable', 'port-unreachable'],
  icmp6: ['no-route', 'admin-prohibited', 'beyond-scope', 'addr-unreachable', 'port-unreachable'],
  icmpx: ['no-route', 'port-unreachable', 'host-unreachable', 'admin-prohibited'],
};

function rejectWords(type: string, code: number, family: string): string {
  if (type === 'tcp reset') return 'reject with tcp reset';
  const names = type === 'icmpx' ? rejects.icmpx : family === 'ip6' ? rejects.icmp6 : rejects.icmp;
  const icmp4 = code === 9 ? 'net-prohibited' : code === 10 ? 'host-prohibited' : code === 13 ? 'admin-prohibited' : undefined;
  const name = names[code] ?? (family === 'ip' || type === 'icmpx' ? icmp4 : undefined) ?? `${code}`;
  return `reject with ${type === 'icmpx' ? 'icmpx' : family === 'ip6' ? 'icmpv6' : 'icmp'} ${name}`;
}

/** A rule in words like those of nft. They are to be recognised by a person, not to be fed back. */
export function ruleWords(rule: RulesetRule, table: Pick<RulesetTable, 'family' | 'ipsets'>): string {
  const held = new Map<number, Held>();
  const unknown: Held = { words: 'a value', read: hex };
  const at = (register: unknown): Held => held.get(register as number) ?? unknown;
  const words: string[] = [];
  /** What was loaded one behind the other since the last use: the parts of a concatenation. */
  let loaded = new Map<number, Held>();
  const put = (register: unknown, value: Held): void => {
    if (typeof register !== 'number') return;
    held.set(register, value);
    loaded.set(register, value);
  };
  const concatenation = (): string => [...loaded.values()].map((value) => value.words).join(' . ');
  const used = (): void => void (loaded = new Map());
  const say = (expression: Expression): unknown => {
    switch (expression.name) {
      case 'payload':
        return put(expression.dreg, payloadHeld(expression));
      case 'meta': {
        const { key = '', dreg, sreg } = expression;
        const name = bareMeta.has(key) ? key : `meta ${key}`;
        if (sreg !== undefined) words.push(`${name} set ${at(sreg).words}`);
        else put(dreg, { words: name, read: metaReads[key] ?? hex });
        return;
      }
      case 'ct': {
        const { key = '', dreg, sreg, direction } = expression;
        const name = `ct ${direction ? `${direction} ` : ''}${key}`;
        const read = key === 'state' ? stateList : key === 'mark' ? hostHex : key.endsWith('addr') ? address : hostEndian;
        if (sreg !== undefined) words.push(`${name} set ${at(sreg).words}`);
        else put(dreg, { words: name, read });
        return;
      }
      case 'bitwise': {
        const { sreg, dreg, mask } = expression;
        const bytes = Buffer.from((mask ?? '0x').slice(2), 'hex');
        const before = at(sreg);
        const bits = prefixLength(bytes);
        // `ip saddr & 255.240.0.0` is a prefix; `ct state & x != 0` the list of states.
        if (before.words.endsWith('addr') && bits !== undefined)
          put(dreg, { words: before.words, read: (value) => `${before.read(value)}/${bits}` });
        else if (before.words === 'ct state') put(dreg, { words: 'ct state', read: () => stateList(bytes) });
        else put(dreg, { words: `${before.words} & ${before.read(bytes)}`, read: before.read });
        return;
      }
      case 'cmp': {
        const { sreg, op = 'eq', data = '0x' } = expression;
        const { words: what, read } = at(sreg);
        const bytes = Buffer.from(data.slice(2), 'hex');
        const isState = what === 'ct state' && bytes.every((byte) => byte === 0);
        const before = `${what} >= `;
        if (op === 'lte' && words.at(-1)?.startsWith(before))
          words.push(`${what} ${words.pop()!.slice(before.length)}-${read(bytes)}`);
        else words.push(`${what} ${isState ? (op === 'neq' ? '' : '!= ') : (operators[op] ?? '')}${read(bytes)}`);
        used();
        return;
      }
      case 'range': {
        const { words: what, read } = at(expression.sreg);
        const [from, to] = [expression.from, expression.to].map((data = '0x') => read(Buffer.from(data.slice(2), 'hex')));
        words.push(`${what} ${expression.op === 'neq' ? '!= ' : ''}${from}-${to}`);
        used();
        return;
      }
      case 'lookup': {
        const { set = '', dreg, flags } = expression;
        const name = set.startsWith('__') ? '{ … }' : `@${set}`;
        const key = concatenation();
        used();
        if (dreg === 'verdict') words.push(`${key} vmap ${name}`);
        else if (dreg === undefined) words.push(`${key} ${flags === 1 ? '!= ' : ''}${name}`);
        else put(dreg, { words: `${key} map ${name}`, read: hex });
        return;
      }
      case 'fib': {
        const flags = ['saddr', 'daddr', 'mark', 'iif', 'oif'].filter((_, i) => (expression.flags ?? 0) & (1 << i));
        const read = (bytes: Buffer): string =>
          expression.result === 'type' ? (types[Number(hostEndian(bytes))] ?? hex(bytes)) : hostEndian(bytes);
        return put(expression.dreg, { words: `fib ${flags.join(' . ')} ${expression.result}`, read });
      }
      case 'immediate':
        if (expression.dreg === 'verdict') words.push(expression.data ?? '');
        else put(expression.dreg, { words: expression.data ?? '', read: hex });
        return;
      case 'match':
      case 'target':
        return void words.push(extensionWords(expression, table));
      case 'reject':
        return void words.push(rejectWords(expression.type ?? 'icmp', expression.code ?? 0, table.family));
      case 'limit':
        return void words.push(
          `limit rate ${(expression.flags ?? 0) & 1 ? 'over ' : ''}${expression.rate}/${unit(expression.unit ?? 1)}`,
        );
      case 'log':
        return void words.push(expression.prefix === undefined ? 'log' : `log prefix "${expression.prefix}"`);
      case 'counter':
        return;
      case 'masq':
        return void words.push('masquerade');
      case 'redir':
        return void words.push('redirect');
      case 'nat':
        return void words.push(`${expression.type} to ${loaded.size > 0 ? concatenation() : 'an address'}`);
      case 'queue':
        return void words.push(`queue num ${expression.number ?? 0}`);
      case 'numgen':
        return put(expression.dreg, { words: `numgen ${expression.mode} mod ${expression.modulus}`, read: hostEndian });
      case 'dynset':
        used();
        return void words.push(`${expression.op} @${expression.set}`);
      case 'foreign':
        return void words.push(expression.kind);
      case 'byteorder':
        return put(expression.dreg, { ...at(expression.sreg), read: bigEndian });
      case 'exthdr':
        return put(expression.dreg, { words: 'exthdr', read: hex });
      default:
        return void words.push(expression.name);
    }
  };
  for (const expression of rule.expressions) say(expression);
  if (rule.comment !== undefined) words.push(`comment "${rule.comment}"`);
  return words.join(' ');
}

const units: Record<number, string> = { 1: 'second', 60: 'minute', 3600: 'hour', 86400: 'day', 604800: 'week' };
const unit = (seconds: number): string => units[seconds] ?? `${seconds} s`;

function extensionWords(
  expression: Expression & { name: 'match' | 'target' },
  { family, ipsets }: Pick<RulesetTable, 'family' | 'ipsets'>,
): string {
  if (expression.name === 'match') {
    const extension = extensionOf(expression.match ?? '', expression.revision ?? 0, expression.info ?? '0x');
    return xtMatch(extension, anyPacket, freshState(anyPacket), ipsets).words;
  }
  const name = expression.target ?? '';
  const effect = xtTarget(extensionOf(name, expression.revision ?? 0, expression.info ?? '0x'), family === 'ip6');
  return effect.kind === 'reject' ? `REJECT with ${effect.with}` : name;
}

function prefixLength(mask: Buffer): number | undefined {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const match = /^(1*)0*$/.exec(bits);
  return match?.[1]?.length;
}
