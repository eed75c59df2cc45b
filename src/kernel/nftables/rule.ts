/** Rules out of parts, each of which has the words that nft prints beside its expressions. */
export * from './conditions.ts';
export { type Part, rule, type Value } from './part.ts';
export * from './statements.ts';
export * from './values.ts';
export * from './vxlan.ts';
