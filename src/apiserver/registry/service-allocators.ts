import type { Family } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import type { Store } from '../store/store.ts';
import { PortAllocator, type PortRange } from './port-allocator.ts';
import { ServiceIps } from './service-ips.ts';

/** IP families as Services name them. */
export type IpFamily = 'IPv4' | 'IPv6';

export const familyOf = (prefix: { family: Family }): IpFamily => (prefix.family === 'ipv4' ? 'IPv4' : 'IPv6');

/** What Services take of the cluster: addresses of each family and node ports. */
export class ServiceAllocators {
  /** Of the server's configuration. */
  readonly cidrs: readonly Prefix[];
  /** Primary family first. */
  readonly families: readonly IpFamily[];
  readonly ips: ServiceIps;
  readonly ports: PortAllocator;

  /** @param cidrs of the server's configuration, which say the families of the cluster */
  constructor(store: Store, cidrs: readonly Prefix[], ports: PortRange, random?: () => number) {
    this.cidrs = cidrs;
    this.families = cidrs.map(familyOf);
    if (cidrs.length === 0 || cidrs.length > 2 || new Set(this.families).size !== cidrs.length)
      throw new RangeError(`a cluster has one Service CIDR, or one of each family; got ${cidrs.join(', ') || 'none'}`);
    this.ips = new ServiceIps(store, random);
    this.ports = new PortAllocator(ports, random);
  }

  get isDual(): boolean {
    return this.families.length === 2;
  }
}
