export { type ConntrackTuple, staleUdp } from './conntrack.ts';
export { type EgressConfig, egressOwner, planEgress } from './egress.ts';
export type { ServiceNode } from './node.ts';
export { layoutOwner, ownerOf, type PlannedPort, ServicePlanner } from './planner.ts';
