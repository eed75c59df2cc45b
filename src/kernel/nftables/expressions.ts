import type { Codec } from '../../wire/codec.ts';
import type { Reader } from '../../wire/reader.ts';
import { be16, be32, be64, cstring, u8 } from '../../wire/scalars.ts';
import type { Writer } from '../../wire/writer.ts';
import { readData, writeData } from './data.ts';

/**
 * A register in units of four bytes: 0 to 15. The kernel has two numberings for the same memory and answers in the other one where it can
 * (nft_dump_register): 1 to 4 are the 16-byte registers, 8 to 23 the 4-byte ones. `verdict` is its register 0.
 */
export type Register = number | 'verdict';
const register: Codec<Register> = {
  encode: (writer, value) => void writer.be32(value === 'verdict' ? 0 : 8 + value),
  decode: (reader) => {
    const number = reader.be32();
    return number === 0 ? 'verdict' : number < 8 ? (number - 1) * 4 : number - 8;
  },
};

/** Bytes as `0x…` in the order they stand in the register, or a verdict: `accept`, `drop`, `return`, `goto NAME`, `jump NAME`. */
const data: Codec<string> = { encode: writeData, decode: readData };

const names = <const T extends Record<string, number>>(values: T, inner: Codec<number> = be32): Codec<keyof T & string> => {
  const byNumber = new Map(Object.entries(values).map(([name, number]) => [number, name]));
  return {
    encode: (writer, value) => inner.encode(writer, values[value]!),
    decode: (reader) => {
      const number = inner.decode(reader);
      return (byNumber.get(number) ?? `${number}`) as keyof T & string;
    },
  };
};

/** NF_NAT_RANGE_* that a user sets; the kernel adds its own bits (addresses, ports given) when it answers. */
const natFlags: Codec<number> = { encode: be32.encode, decode: (reader) => reader.be32() & 0x1c };
export const natFullyRandom = 0x10;

const proto = names({ ip: 2, ip6: 10 });

/** A time in milliseconds. */
const milliseconds: Codec<number> = {
  encode: (writer, value) => be64.encode(writer, BigInt(value)),
  decode: (reader) => Number(be64.decode(reader)),
};

/** A count that fits a number: packets, rates. */
const count = milliseconds;

/** An expression `counter` for each element that is made; what they have counted stands with the elements. */
const counterOfEach: Codec<boolean> = {
  encode: (writer) => void writer.attribute(1, (w) => w.cstring('counter')),
  decode: (reader) => {
    reader.rest();
    return true;
  },
};

/** Bytes as `0x…`, without the attributes of nft_data_attributes around them. */
const blob: Codec<string> = {
  encode: (writer, value) => void writer.bytes(Buffer.from(value.slice(2), 'hex')),
  decode: (reader) => `0x${reader.rest().toString('hex')}`,
};

/** Attribute number, its format, and the value that stands for an absent attribute. */
type Field<T> = readonly [attribute: number, codec: Codec<T>, absent?: T];

const field = <T>(attribute: number, codec: Codec<T>, absent?: T): Field<T> => [attribute, codec, absent];

/** The expressions that podnet uses, and those that it must understand of others: include/uapi/linux/netfilter/nf_tables.h, NFTA_META_* and so on. */
const table = {
  meta: {
    dreg: field(1, register),
    key: field(
      2,
      names({
        ...{ length: 0, protocol: 1, priority: 2, mark: 3, iif: 4, oif: 5, iifname: 6, oifname: 7, iiftype: 8, oiftype: 9 },
        ...{ skuid: 10, skgid: 11, nftrace: 12, rtclassid: 13, secmark: 14, nfproto: 15, l4proto: 16 },
        ...{ pkttype: 19, cpu: 20, iifgroup: 21, oifgroup: 22, cgroup: 23, random: 24, iifkind: 26, oifkind: 27 },
      }),
    ),
    sreg: field(3, register),
  },
  payload: {
    dreg: field(1, register),
    base: field(2, names({ link: 0, network: 1, transport: 2 })),
    offset: field(3, be32),
    length: field(4, be32),
    sreg: field<Register | undefined>(5, register as Codec<Register | undefined>),
  },
  cmp: {
    sreg: field(1, register),
    op: field(2, names({ eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 })),
    data: field(3, data),
  },
  bitwise: {
    sreg: field(1, register),
    dreg: field(2, register),
    length: field(3, be32),
    mask: field(4, data),
    xor: field(5, data),
    op: field(6, be32, 0),
  },
  immediate: { dreg: field(1, register), data: field(2, data) },
  range: {
    sreg: field(1, register),
    op: field(2, names({ eq: 0, neq: 1 })),
    from: field(3, data),
    to: field(4, data),
  },
  lookup: {
    set: field(1, cstring),
    sreg: field(2, register),
    dreg: field<Register | undefined>(3, register as Codec<Register | undefined>),
    flags: field(5, be32, 0),
  },
  dynset: {
    set: field(1, cstring),
    op: field(3, names({ add: 0, update: 1, delete: 2 })),
    sregKey: field(4, register),
    sregData: field<Register | undefined>(5, register as Codec<Register | undefined>),
    timeoutMs: field(6, milliseconds, 0),
    counter: field<boolean | undefined>(7, counterOfEach as Codec<boolean | undefined>),
    flags: field(9, be32, 0),
  },
  ct: {
    dreg: field(1, register),
    key: field(
      2,
      names({
        state: 0,
        direction: 1,
        status: 2,
        mark: 3,
        expiration: 5,
        helper: 6,
        l3protocol: 7,
        protocol: 10,
        'proto-src': 11,
        'proto-dst': 12,
        labels: 13,
        packets: 14,
        bytes: 15,
        zone: 17,
        'ip saddr': 19,
        'ip daddr': 20,
        'ip6 saddr': 21,
        'ip6 daddr': 22,
      }),
    ),
    direction: field<'original' | 'reply' | undefined>(
      3,
      names({ original: 0, reply: 1 }, u8) as Codec<'original' | 'reply' | undefined>,
    ),
    sreg: field(4, register),
  },
  numgen: {
    dreg: field(1, register),
    modulus: field(2, be32),
    mode: field(3, names({ inc: 0, random: 1 })),
    offset: field(4, be32, 0),
  },
  nat: {
    type: field(1, names({ snat: 0, dnat: 1 })),
    family: field(2, proto),
    address: field(3, register),
    addressMax: field(4, register),
    port: field(5, register),
    portMax: field(6, register),
    flags: field(7, natFlags, 0),
  },
  masq: { flags: field(1, natFlags, 0) },
  reject: { type: field(1, names({ icmp: 0, 'tcp reset': 1, icmpx: 2 })), code: field(2, u8, 0) },
  objref: {
    type: field(1, names({ counter: 1, quota: 2, 'ct helper': 3, limit: 4, 'ct timeout': 7, 'ct expectation': 9, synproxy: 10 })),
    object: field(2, cstring),
    sreg: field<Register | undefined>(3, register as Codec<Register | undefined>),
    set: field<string | undefined>(4, cstring as Codec<string | undefined>),
  },
  fib: { dreg: field(1, register), result: field(2, names({ oif: 1, oifname: 2, type: 3 })), flags: field(3, be32) },
  redir: { port: field(1, register), portMax: field(2, register), flags: field(3, natFlags, 0) },
  counter: { packets: field(2, count), bytes: field(1, count) },
  /** `unit` in seconds; flags 1: over the rate. */
  limit: {
    rate: field(1, count),
    unit: field(2, count),
    burst: field(3, be32),
    type: field(4, be32, 0),
    flags: field(5, be32, 0),
  },
  log: { group: field(1, be16), prefix: field(2, cstring) },
  notrack: {},
  /** flags 1: packets go on when nobody listens. */
  queue: { number: field(1, be16), total: field(2, be16), flags: field(3, be16, 0) },
  exthdr: {
    dreg: field(1, register),
    type: field(2, u8),
    offset: field(3, be32),
    length: field(4, be32),
    flags: field(5, be32, 0),
    op: field(6, be32, 0),
    sreg: field(7, register),
  },
  byteorder: {
    sreg: field(1, register),
    dreg: field(2, register),
    op: field(3, names({ ntoh: 0, hton: 1 })),
    length: field(4, be32),
    size: field(5, be32),
  },
  hash: { sreg: field(1, register), dreg: field(2, register), length: field(3, be32), modulus: field(4, be32) },
  /** Extensions of iptables, which iptables-nft writes; `info` is their own struct (include/uapi/linux/netfilter/xt_….h). */
  match: { match: field(1, cstring), revision: field(2, be32), info: field(3, blob) },
  target: { target: field(1, cstring), revision: field(2, be32), info: field(3, blob) },
} as const;

type Table = typeof table;
type Values<F> = { [K in keyof F]?: F[K] extends Field<infer T> ? T : never };

/** One step of a rule as plain data, its fields those of the table above; defaults are left out. */
export type Expression = { [N in keyof Table]: { name: N } & Values<Table[N]> }[keyof Table] | ForeignExpression;

/** An expression that podnet never writes, read from the kernel. */
export interface ForeignExpression {
  name: 'foreign';
  kind: string;
  /** Its attributes as they came. */
  bytes: string;
}

/** NFTA_FIB_F_… */
export const fibSource = 1;
export const fibDestination = 2;

type AnyField = Field<unknown>;
const fieldsOf = (name: string): Record<string, AnyField> | undefined =>
  Object.hasOwn(table, name) ? (table as unknown as Record<string, Record<string, AnyField>>)[name] : undefined;

const attributeMaps = new Map<string, Map<number, string>>();

/** Names of an expression's fields by their attributes. */
function namesOf(name: string, fields: Record<string, AnyField>): Map<number, string> {
  let map = attributeMaps.get(name);
  if (!map) {
    map = new Map(Object.entries(fields).map(([key, [attribute]]) => [attribute, key]));
    attributeMaps.set(name, map);
  }
  return map;
}

/** Writes NFTA_EXPR_NAME and NFTA_EXPR_DATA. @throws TypeError on an expression that was only read */
export function writeExpression(writer: Writer, expression: Expression): void {
  const fields = fieldsOf(expression.name);
  if (!fields) throw new TypeError(`the expression ${expression.name} cannot be written`);
  const values = expression as unknown as Record<string, unknown>;
  writer.attribute(1, (w) => w.cstring(expression.name));
  writer.nested(2, (w) => {
    for (const name in fields) {
      const value = values[name];
      if (value !== undefined) w.attribute(fields[name]![0], (inner) => fields[name]![1].encode(inner, value));
    }
  });
}

/** Reads what `writeExpression` writes, in the one canonical form: equal expressions are equal as JSON. */
export function readExpression(reader: Reader): Expression {
  let name = '';
  let body: Buffer = Buffer.alloc(0);
  const values: Record<string, unknown> = {};
  reader.eachAttribute((type, inner) => {
    if (type === 1) name = inner.cstring();
    if (type !== 2) return;
    const fields = fieldsOf(name);
    if (!fields) {
      body = inner.rest();
      return;
    }
    const byAttribute = namesOf(name, fields);
    inner.eachAttribute((attribute, payload) => {
      const key = byAttribute.get(attribute);
      if (key !== undefined) values[key] = fields[key]![1].decode(payload);
    });
  });
  const fields = fieldsOf(name);
  if (!fields) return { name: 'foreign', kind: name, bytes: body.toString('hex') };
  return canonical({ name, ...values } as unknown as Expression);
}

/** Without defaults and with fields in the table's order. */
export function canonical(expression: Expression): Expression {
  const fields = fieldsOf(expression.name);
  if (!fields) return expression;
  const values = expression as unknown as Record<string, unknown>;
  const result: Record<string, unknown> = { name: expression.name };
  for (const name in fields) {
    if (values[name] !== undefined && values[name] !== fields[name]![2]) result[name] = values[name];
  }
  // A range of one: the kernel answers with both ends, whatever it was given.
  if (result.addressMax === result.address) delete result.addressMax;
  if (result.portMax === result.port) delete result.portMax;
  return result as unknown as Expression;
}
