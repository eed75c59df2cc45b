export { planPolicyChains } from './chains/chains.ts';
export { defaultConnmarkMask, epochOf, lastEpoch, markOf, nextEpoch, planEpoch, planUnmarked } from './chains/epoch.ts';
export { deniedCounter, denyChain } from './chains/verdicts.ts';
export { GuardedPlanner } from './guarded.ts';
export {
  classBits,
  classNumber,
  defaultSet,
  denialSets,
  denied,
  deniedSet,
  loggedSet,
  parseValue,
  policySet,
  policySets,
  portsSet,
  protocolNames,
  rangesSet,
  rowsSet,
  valueText,
} from './elements/names.ts';
export { PolicyPlanner, type PolicyPlanNode } from './planner.ts';
