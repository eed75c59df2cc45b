import { formatClassid, parseClassid } from '../kernel/nftables/datatypes.ts';

/**
 * What a service port leads to, as one number of 32 bits: the id of its set of endpoints (19 bits) and its class (13 bits), which says how one of them is
 * chosen. It travels in skb->priority through the nat hook, which nft prints as `major:minor` in hex.
 *
 *     class 0              nobody is to answer: drop
 *     1 to 16              so many endpoints, each connection to any of them
 *     17 to 25             up to 32, 64 … 8192 endpoints
 *     from 7168            session affinity, one class for each timeout; the class of the number of endpoints stands in a map of its own
 *
 * An endpoint of a set with session affinity has a number of the same form, with its place in the set instead of the class: who knows the endpoint knows the
 * set. So what a client is remembered by never leads to another Service, whatever numbers are given again.
 */
const classBits = 13;
export const classMask = (1 << classBits) - 1;
export const setMask = (~classMask & 0xffffffff) >>> 0;
/** 0xffffffff has a name in nft and is not used. */
export const maxSetId = (1 << (32 - classBits)) - 2;

/** Up to so many endpoints there is a class for each number. */
const exactCounts = 16;
/** As many places has a set. */
export const maxEndpoints = classMask + 1;

/** One way to choose among the slots of a set. */
export interface ClassChoice {
  class: number;
  /** In names of chains: `3`, `to-64`. */
  name: string;
  /** How many slots one is drawn from. */
  slots: number;
  /** As many endpoints as slots; else more than half as many. */
  isExact: boolean;
}

/** All there are. */
export const classChoices: readonly ClassChoice[] = [
  ...Array.from({ length: exactCounts }, (_, i) => ({ class: i + 1, name: `${i + 1}`, slots: i + 1, isExact: true })),
  ...Array.from({ length: Math.log2(maxEndpoints / exactCounts) }, (_, i) => {
    const slots = exactCounts << (i + 1);
    return { class: exactCounts + 1 + i, name: `to-${slots}`, slots, isExact: false };
  }),
];

/** The class of so many endpoints: 0 for none. */
export const classOf = (endpoints: number): number =>
  endpoints <= exactCounts ? endpoints : exactCounts + Math.ceil(Math.log2(endpoints / exactCounts));

const affinityClasses = 1024;
/** Timeouts of session affinity that there can be at once. */
export const maxTimeouts = affinityClasses - 1;

/** @param index of a timeout */
export const affinityClass = (index: number): number => classMask + 1 - affinityClasses + index;

/** @param low class, or place of an endpoint */
export const numberOf = (setId: number, low: number): string => formatClassid(((setId << classBits) | low) >>> 0);

export function parseNumber(text: string): { setId: number; low: number } {
  const value = parseClassid(text);
  return { setId: value >>> classBits, low: value & classMask };
}

/** Key of a set alone. */
export const setKey = (setId: number): string => numberOf(setId, 0);

/** Key of the n-th slot of a set with session affinity; of others the protocol follows. */
export const slotKey = (setId: number, slot: number): string => `${setKey(setId)} . ${slot}`;

/** Key of the maps of chains. */
export const classKey = (low: number): string => formatClassid(low);
export const balancerChain = (choice: string): string => `lb-${choice}`;
/** How many slots the chains draw from that pick for session affinity: of any number of endpoints the next power of two. */
export const pickerSlots: readonly number[] = Array.from({ length: Math.log2(maxEndpoints) + 1 }, (_, i) => 2 ** i);
export const pickerChain = (slots: number): string => `pick-${slots}`;
export const affinityChain = (seconds: number): string => `affinity-${seconds}`;
export const stickyChain = (seconds: number): string => `sticky-${seconds}`;
