import { formatClassid, parseClassid } from '../kernel/nftables/datatypes.ts';

/**
 * What a service port leads to, as one number of 32 bits: the id of its set of endpoints (20 bits) and how many they are (12 bits).
 * It travels in skb->priority through the nat hook, which nft prints as `major:minor` in hex.
 */
const countBits = 12;
export const countMask = (1 << countBits) - 1;
export const maxEndpoints = countMask;
export const maxSetId = (1 << (32 - countBits)) - 1;

export const serviceValue = (setId: number, count: number): string => formatClassid(((setId << countBits) | count) >>> 0);

export function parseServiceValue(text: string): { setId: number; count: number } {
  const value = parseClassid(text);
  return { setId: value >>> countBits, count: value & countMask };
}

/** Key of the n-th slot of a set. */
export const slotKey = (setId: number, slot: number): string => `${serviceValue(setId, 0)} . ${slot}`;

export const endpointKey = (id: number): string => formatClassid(id);
export const parseEndpointKey = parseClassid;

/** Key of the map of chains. */
export const balancerKey = (count: number): string => formatClassid(count);
export const balancerChain = (count: number): string => `lb-${count}`;

/** Chains are made beforehand for so many endpoints, and then in steps of as many: a new chain makes the kernel check the whole table. */
export const smallestBalancers = 16;
