import { formatClassid, parseClassid } from '../kernel/nftables/datatypes.ts';

/**
 * What a service port leads to, as one number of 32 bits: the id of its set of endpoints (19 bits) and its class (13 bits), which says how one of them is
 * chosen. It travels in skb->priority through the nat hook, which nft prints as `major:minor` in hex.
 *
 *     class 0              nobody is to answer: drop
 *     1 to maxEndpoints    so many endpoints, each connection to any of them
 *     above                session affinity, one class for each timeout; the number of endpoints stands in a map of its own
 *
 * An endpoint of a set has a number of the same form, with its place in the set instead of the class: who knows the endpoint knows the set. So what a
 * client is remembered by never leads to another Service, whatever numbers are given again.
 */
const classBits = 13;
export const classMask = (1 << classBits) - 1;
export const setMask = (~classMask & 0xffffffff) >>> 0;
/** 0xffffffff has a name in nft and is not used. */
export const maxSetId = (1 << (32 - classBits)) - 2;

const affinityClasses = 1024;
export const maxEndpoints = classMask - affinityClasses;
/** Timeouts of session affinity that there can be at once. */
export const maxTimeouts = affinityClasses - 1;

/** @param index of a timeout */
export const affinityClass = (index: number): number => maxEndpoints + 1 + index;

/** @param low class, or place of an endpoint */
export const numberOf = (setId: number, low: number): string => formatClassid(((setId << classBits) | low) >>> 0);

export function parseNumber(text: string): { setId: number; low: number } {
  const value = parseClassid(text);
  return { setId: value >>> classBits, low: value & classMask };
}

/** Key of a set alone. */
export const setKey = (setId: number): string => numberOf(setId, 0);

/** Key of the n-th slot of a set. */
export const slotKey = (setId: number, slot: number): string => `${setKey(setId)} . ${slot}`;

/** Key of the maps of chains. */
export const classKey = (low: number): string => formatClassid(low);
export const balancerChain = (count: number): string => `lb-${count}`;
/** Picks like the balancer of as many, and returns. */
export const pickerChain = (count: number): string => `pick-${count}`;
export const affinityChain = (seconds: number): string => `affinity-${seconds}`;
export const stickyChain = (seconds: number): string => `sticky-${seconds}`;

/** Chains are made beforehand for so many endpoints, and then in steps of as many: a new chain makes the kernel check the whole table. */
export const chainStep = 16;
