import type { Prefix } from '../../net/prefix.ts';
import { IpAllocator } from './ip-allocator.ts';
import { PortAllocator, type PortRange } from './port-allocator.ts';

/** IP families as Services name them. */
export type IpFamily = 'IPv4' | 'IPv6';

export const familyOf = (prefix: { family: 'ipv4' | 'ipv6' }): IpFamily => (prefix.family === 'ipv4' ? 'IPv4' : 'IPv6');

/** What Services take of the cluster: addresses of each family and node ports. */
export class ServiceAllocators {
  /** Primary family first. */
  readonly families: readonly IpFamily[];
  readonly ips: ReadonlyMap<IpFamily, IpAllocator>;
  readonly ports: PortAllocator;

  constructor(cidrs: readonly Prefix[], ports: PortRange, random?: () => number) {
    this.families = cidrs.map(familyOf);
    if (cidrs.length === 0 || cidrs.length > 2 || new Set(this.families).size !== cidrs.length)
      throw new RangeError(`a cluster has one Service CIDR, or one of each family; got ${cidrs.join(', ') || 'none'}`);
    this.ips = new Map(cidrs.map((cidr) => [familyOf(cidr), new IpAllocator(cidr, random)]));
    this.ports = new PortAllocator(ports, random);
  }

  get isDual(): boolean {
    return this.families.length === 2;
  }
}
