export * as dynamic from './dynamic.ts';
export { addressesText } from './datatypes.ts';
export { canonical, type Expression } from './expressions.ts';
export { tableOwner, tablePersist } from './messages.ts';
export { Nft, type TableContent } from './nft.ts';
export * as match from './rule.ts';
export {
  type NftHookName,
  type RulesetChain,
  type RulesetElement,
  type RulesetHook,
  type RulesetRule,
  type RulesetSet,
  type RulesetTable,
  readRuleset,
  rulesetReading,
} from './ruleset.ts';
export { type NftFailure, NftTransaction, NftTransactionError, type TaggedElement } from './transaction.ts';
export { type Chain, type Element, type NftSetSpec, type Rule, setSpec, type TableFamily } from './types.ts';
