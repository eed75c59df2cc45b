import { addressBits, type Family } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { IpRange } from '../net/range.ts';
import type { LabConfig } from './config.ts';
import { UsageError } from './errors.ts';

/** The pod CIDR of each node, as kube-controller-manager cuts it (--node-cidr-mask-size-ipv4, -ipv6). */
const nodeMask: Record<Family, number> = { ipv4: 24, ipv6: 64 };
/** The node CIDRs of a cluster CIDR that are kept account of. */
const maxNodeBits = 16;
/** The cluster DNS address is the tenth. */
const smallestServiceRange = 16n;

/** What the lab uses itself: the underlay's links, and the client outside (topology.ts). */
export const underlayRanges = ['172.30.0.0/21', '198.51.100.0/24', 'fd30::/61', '2001:db8:51:100::/64'].map(Prefix.parse);
/** A link, where the router looks for the addresses of load balancers by ARP and ND, and what stands there already. */
function linkOf(family: Family, link: number): { prefix: Prefix; taken: IpRange[] } {
  const v4 = `172.30.${link}`;
  const v6 = link === 0 ? 'fd30:' : `fd30:0:0:${link}:`;
  return family === 'ipv4'
    ? { prefix: Prefix.parse(`${v4}.0/24`), taken: [`${v4}.0-${v4}.74`, `${v4}.255`].map(IpRange.parse) }
    : { prefix: Prefix.parse(`${v6}:/64`), taken: [IpRange.parse(`${v6}:-${v6}:4a`)] };
}
const special: readonly (readonly [what: string, prefix: Prefix])[] = [
  ...['0.0.0.0/8', '127.0.0.0/8', '::/127'].map((text) => ["this machine's own", Prefix.parse(text)] as const),
  ...['169.254.0.0/16', 'fe80::/10'].map((text) => ['link-local', Prefix.parse(text)] as const),
  ...['224.0.0.0/3', 'ff00::/8'].map((text) => ['for multicast and reserved', Prefix.parse(text)] as const),
];

/** @throws UsageError when the ranges of pods and Services are too small, or meet each other or what the lab uses itself */
export function checkRanges({ podCidrs, serviceCidrs, nodes }: Pick<LabConfig, 'podCidrs' | 'serviceCidrs' | 'nodes'>): void {
  const pods = podCidrs.map(Prefix.parse);
  const services = serviceCidrs.map(Prefix.parse);
  for (const cidr of pods) {
    const mask = nodeMask[cidr.family];
    const needed = mask - Math.ceil(Math.log2(nodes.length));
    const example = `give it /${needed} or shorter for ${nodes.length === 1 ? 'one node' : `${nodes.length} nodes`}`;
    if (cidr.length > needed)
      throw new UsageError(`podCidrs: ${cidr} is too small, since each node gets a /${mask} of it: ${example}`);
    if (cidr.length < mask - maxNodeBits)
      throw new UsageError(`podCidrs: ${cidr} is too large: give it /${mask - maxNodeBits} or longer`);
  }
  for (const cidr of services) {
    if (cidr.size < smallestServiceRange)
      throw new UsageError(
        `serviceCidrs: ${cidr} is too small, since the cluster DNS has its tenth address: give it /${addressBits(cidr.family) - 4} or shorter`,
      );
    const other = pods.find((prefix) => prefix.overlaps(cidr));
    if (other) throw new UsageError(`podCidrs and serviceCidrs overlap: ${other} and ${cidr}; give them ranges of their own`);
  }
  for (const [field, cidrs] of [
    ['podCidrs', pods],
    ['serviceCidrs', services],
  ] as const)
    for (const cidr of cidrs) {
      const own = underlayRanges.find((range) => range.overlaps(cidr));
      if (own)
        throw new UsageError(`${field}: ${cidr} overlaps ${own}, which the lab uses for its own links; choose another range`);
      const taken = special.find(([, range]) => range.overlaps(cidr));
      if (taken) throw new UsageError(`${field}: ${cidr} overlaps ${taken[1]}, which is ${taken[0]}; choose another range`);
    }
}

/** @throws UsageError when load balancers could get an address that is on no link with nodes, or is somebody's there */
export function checkPools(
  { loadBalancerPools, nodes }: Pick<LabConfig, 'loadBalancerPools' | 'nodes'>,
  served: readonly Family[],
): void {
  const indexes = [...new Set(nodes.map(({ link }) => link))].sort((a, b) => a - b);
  for (const pool of loadBalancerPools.map(IpRange.parse)) {
    const fault = (why: string): UsageError => new UsageError(`loadBalancerPools: ${pool} ${why}`);
    if (!served.includes(pool.family)) throw fault(`is ${pool.family}, and the lab is ${served.join(', ')} only: leave it out`);
    const links = indexes.map((index) => linkOf(pool.family, index));
    const link = links.find(({ prefix }) => prefix.contains(pool.first) && prefix.contains(pool.last));
    const where = links.length === 1 ? `${links[0]!.prefix}, the link of the lab's nodes` : `any of ${links.map(({ prefix }) => prefix).join(', ')}, the links of the lab's nodes`;
    if (!link) throw fault(`is not within ${where}, where they are announced: choose a range there`);
    const { prefix, taken } = link;
    const other = taken.find((range) => range.overlaps(pool));
    if (other) throw fault(`overlaps ${other}, which the lab uses for its router and nodes: choose another range of ${prefix}`);
  }
}
