import { match } from '../../../kernel/nftables/index.ts';
import type { Item } from '../../../reconcile/model.ts';

const { rule, ctMarkIs, setCtMark, accept } = match;

/** Bits of the connection mark that are podnet's, where the configuration does not say otherwise (`connmarkMask`). */
export const defaultConnmarkMask = 0xffffff00;

const hexMask = (mask: number): string => `0x${(mask >>> 0).toString(16).padStart(8, '0')}`;

/** Epochs are numbers from 1 to this; 0 is what a connection bears that no policy has judged. */
export function lastEpoch(mask: number): number {
  let bits = 0;
  for (let rest = mask >>> 0; rest > 0; rest = (rest & (rest - 1)) >>> 0) bits++;
  return 2 ** bits - 1;
}

/** The epoch in the bits of the mask, whichever they are: its lowest bit in the lowest of them. */
export function markOf(epoch: number, mask: number): number {
  let value = 0;
  let rest = epoch;
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    if (rest % 2 === 1) value |= 1 << bit;
    rest = Math.floor(rest / 2);
  }
  return value >>> 0;
}

/** The epoch that a connection with this mark bears; 0: none. */
export function epochOf(mark: number, mask: number): number {
  let epoch = 0;
  let place = 1;
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    if ((mark >>> bit) & 1) epoch += place;
    place *= 2;
  }
  return epoch;
}

/**
 * The epoch to begin, of which no connection bears the number.
 * @param current the one that is there, 0 for none
 * @param borne epochs that connections bear (`epochOf` of the marks in conntrack): to be asked where a number may have been used before, at a start and behind the last
 * @returns undefined when connections bear all there are: a mask of few bits, or marks of somebody else in them
 */
export function nextEpoch(current: number, mask: number, borne: ReadonlySet<number>): number | undefined {
  const last = lastEpoch(mask);
  // Of so many numbers in a row one at least is free, if there are so many.
  const enough = Math.min(last, borne.size + 2);
  for (let tried = 0, epoch = current; tried < enough; tried++) {
    epoch = epoch >= last ? 1 : epoch + 1;
    if (epoch !== current && !borne.has(epoch)) return epoch;
  }
  return undefined;
}

/**
 * The two chains that know the present epoch; a new one replaces both at once, in a transaction behind the one with the elements.
 * @throws RangeError for a number that does not fit the mask
 */
export function planEpoch(epoch: number, mask: number): Item[] {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > lastEpoch(mask))
    throw new RangeError(`epoch ${epoch} does not fit connmarkMask ${hexMask(mask)}: expected 1 to ${lastEpoch(mask)}`);
  const mark = markOf(epoch, mask);
  return [
    { kind: 'nft-chain', name: 'policy-known', rules: [rule(ctMarkIs(mark, mask >>> 0), accept)] },
    { kind: 'nft-chain', name: 'policy-settle', rules: [rule(setCtMark(mark, mask >>> 0))] },
  ];
}

/** The two chains where the kernel keeps no marks of connections: none is known, and each packet is judged. */
export const planUnmarked = (): Item[] => ['policy-known', 'policy-settle'].map((name) => ({ kind: 'nft-chain', name, rules: [] }));
