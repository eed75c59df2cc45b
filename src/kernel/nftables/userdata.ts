import { endianness } from 'node:os';
import type { Datatype } from './datatypes.ts';
import type { NftSetSpec } from './types.ts';

/**
 * What nft keeps beside the kernel's own data so that `nft list` prints well: a list of type (u8), length (u8), value. Numbers are in host order.
 * Source: libnftnl include/libnftnl/udata.h and nft's src/mnl.c.
 */
type Entry = readonly [type: number, value: Uint8Array];

const tableComment = 0;
const setKeyByteOrder = 0;
const setDataByteOrder = 1;
const setKeyTypeof = 3;
const setDataTypeof = 4;
const setDataInterval = 6;
const setComment = 7;

const little = endianness() === 'LE';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (little) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
}

const encode = (entries: readonly Entry[]): Buffer =>
  Buffer.concat(entries.flatMap(([type, value]) => [Buffer.from([type, value.length]), Buffer.from(value)]));

const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function find(bytes: Buffer, wanted: number): Buffer | undefined {
  for (let at = 0; at + 2 <= bytes.length; at += 2 + bytes[at + 1]!) {
    if (bytes[at] === wanted) return bytes.subarray(at + 2, at + 2 + bytes[at + 1]!);
  }
  return undefined;
}

const textOf = (value: Buffer | undefined): string | undefined => value?.toString('utf8').replace(/\0.*$/s, '');

export const encodeTableComment = (comment: string): Buffer => encode([[tableComment, text(comment)]]);
export const decodeTableComment = (bytes: Buffer): string | undefined => textOf(find(bytes, tableComment));
export const decodeSetComment = (bytes: Buffer): string | undefined => textOf(find(bytes, setComment));

/** A rule's comment is type 0, as a table's. */
export const encodeRuleComment = encodeTableComment;
export const decodeRuleComment = decodeTableComment;

/** enum byteorder of nft: 1 host, 2 network, 0 for a concatenation of several. */
const byteOrder = (types: readonly Datatype[]): number => (types.length > 1 ? 0 : types[0]!.order === 'host' ? 1 : 2);

/** enum expr_ops of nft's include/expression.h, which typeof keeps. */
const exprConcat = 13;
const exprPayload = 7;
const exprMeta = 9;
const exprNumgen = 23;
const metaPriority = 2;
const metaL4proto = 16;

const metaExpression = (key: number): Buffer =>
  encode([
    [0, u32(exprMeta)],
    [1, encode([[0, u32(key)]])],
  ]);
const priorityExpression = metaExpression(metaPriority);
/** numgen random mod 2; the modulus shown means nothing */
const numgenExpression = encode([
  [0, u32(exprNumgen)],
  [
    1,
    encode([
      [0, u32(1)],
      [1, u32(2)],
      [2, u32(0)],
    ]),
  ],
]);

/** A field of a header: enum proto_desc_id of nft's include/proto.h, and the field's place in its table of templates (src/proto.c). */
const payloadExpression = (protocol: number, field: number): Buffer =>
  encode([
    [0, u32(exprPayload)],
    [
      1,
      encode([
        [0, u32(protocol)],
        [1, u32(field)],
      ]),
    ],
  ]);
const thDport = payloadExpression(11, 2);

const concatExpression = (...parts: readonly Buffer[]): Buffer =>
  encode([
    [0, u32(exprConcat)],
    [1, encode(parts.map((part, i) => [i, part] as const))],
  ]);

/**
 * A number without a name of its own (`integer`) has no `type` in nft's grammar, only `typeof` an expression, and then data needs one too: podnet has such keys
 * of `meta priority . numgen`, with `meta l4proto` behind.
 */
const typeofKey = new Map([
  ['classid . integer', concatExpression(priorityExpression, numgenExpression)],
  ['classid . integer . inet_proto', concatExpression(priorityExpression, numgenExpression, metaExpression(metaL4proto))],
]);
const typeofData = new Map([
  ['classid', priorityExpression],
  ['ipv4_addr . inet_service', concatExpression(payloadExpression(12, 12), thDport)],
  ['ipv6_addr . inet_service', concatExpression(payloadExpression(13, 9), thDport)],
]);

/** Bits of a packet by their distance from the transport header: no field of any header that nft knows (payload_expr_build_udata; PROTO_BASE_TRANSPORT_HDR). */
const rawExpression = (offset: number, length: number): Buffer =>
  encode([
    [0, u32(exprPayload)],
    [1, encode([0, 0, 3, offset, length].map((value, i) => [i, u32(value)] as const))],
  ]);
const innerSources: Readonly<Record<string, Buffer>> = { '@th,336,32': rawExpression(336, 32), '@th,304,128': rawExpression(304, 128) };
const saddrs: Readonly<Record<string, Buffer>> = { 'ip saddr': payloadExpression(12, 11), 'ip6 saddr': payloadExpression(13, 8) };

/** What `NftSetSpec.typeof` may be: source addresses inside of VXLAN, alone and behind that of the packet (`vxlan.ts`). */
const typeofTexts = new Map(
  Object.entries(innerSources).flatMap(([inner, expression]) => [
    [inner, expression] as const,
    ...Object.entries(saddrs).map(([outer, address]) => [`${outer} . ${inner}`, concatExpression(address, expression)] as const),
  ]),
);

/** @returns the text, of one that podnet writes */
export function decodeSetTypeof(bytes: Buffer): string | undefined {
  const found = find(bytes, setKeyTypeof);
  if (!found) return undefined;
  for (const [text, expression] of typeofTexts) if (expression.equals(found)) return text;
  return undefined;
}

export function encodeSetUserdata(
  set: NftSetSpec,
  keyTypes: readonly Datatype[],
  dataTypes: readonly Datatype[] | undefined,
): Buffer {
  const entries: Entry[] = [[setKeyByteOrder, u32(byteOrder(keyTypes))]];
  if (set.data !== undefined) entries.push([setDataByteOrder, u32(dataTypes ? byteOrder(dataTypes) : 0)]);
  const key = set.typeof === undefined ? typeofKey.get(set.key) : typeofTexts.get(set.typeof);
  if (key) {
    entries.push([setKeyTypeof, key]);
    const data = typeofData.get(set.data ?? '');
    if (data) entries.push([setDataTypeof, data]);
  }
  if (set.data !== undefined) entries.push([setDataInterval, u32(0)]);
  if (set.comment !== undefined) entries.push([setComment, text(set.comment)]);
  return encode(entries);
}
