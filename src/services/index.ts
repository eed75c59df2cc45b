export { isUntranslated, type UdpEntry, UdpServices } from './conntrack.ts';
export { type EgressConfig, egressOwner, planEgress } from './egress.ts';
export { nodePortKeys, serviceSets } from './layout.ts';
export { nodePortAddressesOf, type ServiceNode } from './node.ts';
export { layoutOwner, ownerOf, type PlannedPort, ServicePlanner } from './planner.ts';
