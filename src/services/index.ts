export { AffinityMemory } from './affinity-memory.ts';
export { isUntranslated, type UdpEntry, UdpServices } from './conntrack.ts';
export { type EgressConfig, egressOwner, planEgress } from './egress.ts';
export type { ServiceHealth } from './health.ts';
export { serviceSets, takenPortKeys } from './names.ts';
export { nodePortAddressesOf, type ServiceNode } from './node.ts';
export { ownerOf } from './objects.ts';
export { layoutOwner, type PlannedPort, type PlannerStart, ServicePlanner } from './planner.ts';
