export { collide, formatMappings, hostSide, isOfFamily, type PortMapping, parseMappings, specificAddress } from './mapping.ts';
export { type HostPortsNode, mappingsIn, planHostPorts, planMappings } from './plan.ts';
export { isStaleAfterAdd, isStaleAfterDelete, type UdpEntry } from './stale.ts';
