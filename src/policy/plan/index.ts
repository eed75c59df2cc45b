export {
  allowed,
  classBits,
  classNumber,
  classValue,
  defaultSet,
  denied,
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
} from './names.ts';
export { PolicyPlanner, type PolicyPlannerStart, type PolicyPlanNode } from './planner.ts';
