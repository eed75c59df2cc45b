export { planPolicyChains, type PodLinks } from './chains/chains.ts';
export { defaultConnmarkMask, epochOf, lastEpoch, markOf, nextEpoch, planEpoch, planUnmarked } from './chains/epoch.ts';
export { deniedCounter, denyChain } from './chains/verdicts.ts';
export { GuardedPlanner, type GuardedPlannerParts } from './guarded.ts';
export {
  allowed,
  classBits,
  classNumber,
  classValue,
  defaultSet,
  denialSets,
  denied,
  deniedSet,
  loggedSet,
  maxIdentity,
  parseValue,
  type PolicySet,
  policySet,
  policySets,
  portsSet,
  protocolNames,
  rangesSet,
  rowsSet,
  valueText,
} from './elements/names.ts';
export { PolicyPlanner, type PolicyPlannerStart, type PolicyPlanNode } from './planner.ts';
export { plainConnection, PolicyTracer, type Trace, type TracedConnection, type TracedPacket } from './chains/trace.ts';
