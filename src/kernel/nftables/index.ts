export type { Datatype } from './datatypes.ts';
export type { Expression } from './expressions.ts';
export { type Counted, tableOwner, tablePersist } from './messages.ts';
export { Nft, type TableContent } from './nft.ts';
export * as dynamic from './dynamic.ts';
export * as match from './rule.ts';
export { type NftFailure, NftTransaction, NftTransactionError } from './transaction.ts';
export type { Chain, Element, Hook, NftSetSpec, Rule, Table } from './types.ts';
