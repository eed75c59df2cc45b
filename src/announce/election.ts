import type { IpAddr } from '../net/ip.ts';

/**
 * Who announces an address: all candidates in the order in which they take it, the same on every node, since it follows from names alone. Each
 * address has an order of its own (rendezvous hashing), so that addresses spread over the nodes, and when a node comes or goes only the addresses move
 * that it takes or had.
 */
export function rank(address: IpAddr, candidates: Iterable<string>): string[] {
  const salt = hash(address.toString(), 0x811c9dc5);
  return [...candidates]
    .map((name) => ({ name, weight: mix(hash(name, salt)) }))
    .sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name);
}

/** FNV-1a of 32 bits. */
function hash(text: string, basis: number): number {
  let value = basis;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** Names that differ in their last letter only shall not stand side by side: the finalizer of MurmurHash3. */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
