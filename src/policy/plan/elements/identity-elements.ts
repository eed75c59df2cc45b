import { addressesText } from '../../../kernel/nftables/index.ts';
import { families, type Family, type IpAddr } from '../../../net/ip.ts';
import type { NftElement } from '../../../reconcile/model.ts';
import { type AddressEntry, isUnused } from '../remote/addresses.ts';
import { nobodyInNetwork } from '../remote/identities.ts';
import { element, policySet, valueText } from './names.ts';
import type { Piece, Told } from '../remote/networks.ts';
import type { Pieces } from '../remote/pieces.ts';
import { identityOf } from '../remote/signatures.ts';

/** Addresses that differ in their last part only have one owner: those of a node's pods. */
function bucketOf(address: IpAddr): string {
  const text = String(address);
  return text.slice(0, text.lastIndexOf(address.family === 'ipv4' ? '.' : ':'));
}

/** Networks of one beginning: those of 10.244.0.0 to 10.244.255.255, of fd00:10::. */
function netBucketOf(first: IpAddr): string {
  const [a, b, c, d] = first.bytes;
  return first.family === 'ipv4' ? `${a}.${b}` : Buffer.from([a!, b!, c!, d!]).toString('hex');
}

/** Who has which identity: by address, and for all other addresses by network. */
export class IdentityElements {
  readonly #buckets = new Map<string, Set<AddressEntry>>();
  readonly #dirty = new Set<string>();
  /** Networks as planned last, by owner. */
  #nets = new Map<string, Interval[]>();

  /** An address may have another identity now. */
  place(entry: AddressEntry): void {
    const identity = identityOf(entry.signature);
    const ofNetwork = identityOf(entry.piece?.signature);
    const wanted = isUnused(entry) || identity === ofNetwork ? 0 : identity === 0 ? nobodyInNetwork : identity;
    if (wanted === entry.planned) return;
    entry.planned = wanted;
    const name = bucketOf(entry.address);
    this.#dirty.add(name);
    const bucket = this.#buckets.get(name);
    if (wanted !== 0 && bucket) bucket.add(entry);
    else if (wanted !== 0) this.#buckets.set(name, new Set([entry]));
    else if (bucket?.delete(entry) && bucket.size === 0) this.#buckets.delete(name);
  }

  *changes(): Iterable<[string, NftElement[]]> {
    for (const name of this.#dirty)
      yield [
        `policy identities ${name}`,
        Array.from(this.#buckets.get(name) ?? [], ({ address, planned }) =>
          element(policySet('policy-ids', address.family), String(address), valueText(planned)),
        ),
      ];
    this.#dirty.clear();
  }

  /** @returns what changed of networks; all of them are looked at */
  *netChanges(pieces: Pieces): Iterable<[string, NftElement[]]> {
    const now = new Map<string, Interval[]>();
    for (const family of families)
      for (const interval of intervalsOf(family, pieces.of(family))) {
        const some = now.get(interval.told.owner);
        if (some) some.push(interval);
        else now.set(interval.told.owner, [interval]);
      }
    const before = this.#nets;
    this.#nets = now;
    for (const [owner, intervals] of now)
      if (!sameIntervals(intervals, before.get(owner)))
        yield [owner, intervals.map(({ family, told, identity }) => element(policySet('policy-nets', family), told.text, valueText(identity)))];
    for (const owner of before.keys()) if (!now.has(owner)) yield [owner, []];
  }
}

/** Neighbours of one identity. */
interface Interval {
  family: Family;
  told: Told;
  identity: number;
}

const sameIntervals = (a: readonly Interval[], b: readonly Interval[] | undefined): boolean =>
  a.length === b?.length && a.every(({ told, identity }, i) => identity === b[i]!.identity && (told === b[i]!.told || told.text === b[i]!.told.text));

/** Neighbours of one identity as one interval; those of nobody are left out. */
function* intervalsOf(family: Family, pieces: readonly Piece[]): Iterable<Interval> {
  for (let i = 0, next: number = identityOf(pieces[0]?.signature); i < pieces.length; ) {
    const [start, identity] = [pieces[i]!, next];
    let last = pieces[i++]!;
    while (i < pieces.length && (next = identityOf(pieces[i]!.signature)) === identity) last = pieces[i++]!;
    if (identity === 0) continue;
    if (start.told?.last !== last)
      start.told = { last, text: addressesText(start.first, last.last), owner: `policy networks ${netBucketOf(start.first)}` };
    yield { family, told: start.told, identity };
  }
}
