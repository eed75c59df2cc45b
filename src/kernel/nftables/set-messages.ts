import type { Reader } from '../../wire/reader.ts';
import type { Writer } from '../../wire/writer.ts';
import { parseType, typeId, typeSize, verdictType } from './datatypes.ts';
import { isRanged } from './ranges.ts';
import type { NftSetSpec, SetFlag } from './types.ts';
import { decodeSetComment, decodeSetTypeof, encodeSetUserdata } from './userdata.ts';

const setFlags: Record<SetFlag, number> = { constant: 2, interval: 4, timeout: 0x10, dynamic: 0x20 };
const mapFlag = 8;
const concatFlag = 0x80;

/** @param id of the set inside of its transaction */
export function writeSet(writer: Writer, table: string, set: NftSetSpec, id: number): void {
  const keyTypes = parseType(set.key);
  const dataTypes = set.data === undefined || set.data === 'verdict' ? undefined : parseType(set.data);
  let flags = set.data === undefined ? 0 : mapFlag;
  for (const flag of set.flags) flags |= setFlags[flag];
  const ranged = isRanged(set);
  if (ranged) flags |= concatFlag;
  writer
    .attribute(1, (w) => w.cstring(table))
    .attribute(2, (w) => w.cstring(set.name))
    .attribute(3, (w) => w.be32(flags))
    .attribute(4, (w) => w.be32(typeId(keyTypes)))
    .attribute(5, (w) => w.be32(typeSize(keyTypes)))
    .attribute(10, (w) => w.be32(id))
    .attribute(13, (w) => w.bytes(encodeSetUserdata(set, keyTypes, dataTypes)));
  // NFTA_SET_DESC: NFTA_SET_DESC_SIZE, NFTA_SET_DESC_CONCAT with NFTA_SET_FIELD_LEN for each part.
  if (set.size !== undefined || ranged)
    writer.nested(9, (w) => {
      if (set.size !== undefined) w.attribute(1, (v) => v.be32(set.size!));
      if (ranged)
        w.nested(2, (parts) => {
          for (const { size } of keyTypes) parts.nested(1, (part) => part.attribute(1, (v) => v.be32(size)));
        });
    });
  if (set.data === 'verdict') writer.attribute(6, (w) => w.be32(verdictType));
  if (dataTypes) writer.attribute(6, (w) => w.be32(typeId(dataTypes))).attribute(7, (w) => w.be32(typeSize(dataTypes)));
  if (set.timeoutMs !== undefined) writer.attribute(11, (w) => w.be64(BigInt(set.timeoutMs!)));
}

/** A set as the kernel tells it; types are nft's numbers. */
export interface ReadSet {
  table: string;
  name: string;
  flags: number;
  keyType: number;
  /** bytes */
  keySize: number;
  dataType: number;
  timeoutMs?: number;
  size?: number;
  comment?: string;
  /** What its keys are read from (`NftSetSpec.typeof`). */
  typeof?: string;
}

export function readSet(reader: Reader): ReadSet {
  const set: ReadSet = { table: '', name: '', flags: 0, keyType: 0, keySize: 0, dataType: 0 };
  reader.eachAttribute((type, inner) => {
    if (type === 1) set.table = inner.cstring();
    else if (type === 2) set.name = inner.cstring();
    else if (type === 3) set.flags = inner.be32();
    else if (type === 4) set.keyType = inner.be32();
    else if (type === 5) set.keySize = inner.be32();
    else if (type === 6) set.dataType = inner.be32();
    else if (type === 9)
      inner.eachAttribute((field, value) => {
        if (field === 1) set.size = value.be32();
      });
    else if (type === 11) set.timeoutMs = Number(inner.be64());
    else if (type === 13) {
      const userdata = inner.rest();
      set.comment = decodeSetComment(userdata);
      set.typeof = decodeSetTypeof(userdata);
    }
  });
  return set;
}

/**
 * The definition as podnet would have written it.
 * @throws SyntaxError on a type that podnet does not know: also on a number of another size, as nft makes of an address that is read from a place in the packet
 */
export function specOf(set: ReadSet): NftSetSpec {
  const spec: NftSetSpec = {
    name: set.name,
    key: keyOf(set),
    flags: (Object.keys(setFlags) as SetFlag[]).filter((flag) => set.flags & setFlags[flag]),
  };
  if (set.flags & mapFlag) spec.data = set.dataType === verdictType ? 'verdict' : typeNames(set.dataType);
  if (set.timeoutMs !== undefined) spec.timeoutMs = set.timeoutMs;
  // Of other sets the kernel makes up a size of its own.
  if (set.size !== undefined && set.flags & setFlags.dynamic) spec.size = set.size;
  if (set.comment !== undefined) spec.comment = set.comment;
  if (set.typeof !== undefined) spec.typeof = set.typeof;
  return spec;
}

function keyOf({ name, keyType, keySize }: ReadSet): string {
  const key = typeNames(keyType);
  const size = typeSize(parseType(key));
  if (size !== keySize) throw new SyntaxError(`keys of the set ${name} are ${key} of ${keySize} bytes: podnet's have ${size}`);
  return key;
}

const idNames = new Map(
  ['integer', 'ipv4_addr', 'ipv6_addr', 'ether_addr', 'inet_proto', 'inet_service', 'mark', 'classid', 'ifname'].map((name) => [
    parseType(name)[0]!.id,
    name,
  ]),
);

function typeNames(id: number): string {
  const names: string[] = [];
  for (let rest = id; rest > 0; rest >>>= 6) names.unshift(idNames.get(rest & 0x3f) ?? `type-${rest & 0x3f}`);
  return names.join(' . ');
}
