import { isNotFound } from '../../kernel/errors.ts';
import type { NetNs } from '../../kernel/netns.ts';
import type { Address } from '../../kernel/rtnetlink/addresses.ts';
import type { Link } from '../../kernel/rtnetlink/links.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { readSysctl } from '../../kernel/sysctl.ts';
import type { Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { LocalFacts, RouteNode } from '../../routes/plan.ts';
import type { NodeView } from '../watch/views.ts';

/** ARPHRD_LOOPBACK */
const loopback = 772;

/** Who this node is: what its Node object says, and what only its kernel knows. */
export interface NodeFacts {
  self: RouteNode;
  local: LocalFacts;
  zone: string | undefined;
  /** Where node ports answer (SD14): its own addresses, unless the settings say others. */
  nodePortAddresses: readonly IpAddr[];
  /** What is odd, though the node can work. */
  problems: readonly string[];
}

/**
 * Finds the link that carries the node's addresses.
 * @param nodePortCidrs where node ports answer, if not on the node's own addresses
 * @returns why there are no facts, as text
 */
export function readFacts(
  view: NodeView,
  families: readonly Family[],
  rt: RtNetlink,
  ns: NetNs,
  nodePortCidrs?: readonly Prefix[],
): NodeFacts | string {
  const links = new Map(rt.links().map((link) => [link.index, link]));
  const present = rt.addresses();
  const wanted = view.addresses.filter(({ family }) => families.includes(family));
  // One of each family, the cluster's primary family first.
  const chosen = families.flatMap((family) => {
    const internal = wanted.filter((address) => address.family === family);
    return internal.find((address) => present.some((one) => one.address.equals(address))) ?? [];
  });
  const [primary] = chosen;
  if (!primary) {
    const has = wanted.length === 0 ? 'none of its families' : wanted.join(', ');
    return `node ${view.name} has no InternalIP that is on a link here (the Node object has ${has}): whoever registers the node must say its real address`;
  }
  const uplink = links.get(present.find((one) => one.address.equals(primary))!.link)!;
  const onUplink = present.filter(({ link, address }) => link === uplink.index && !address.isLinkLocal);
  const problems = [...view.faults];
  // One of each family, in the cluster's order, whatever the Node's is: the first address of a pod is its podIP (CRI5).
  const podCidrs = families.flatMap((family) => {
    const [first, ...more] = view.podCidrs.filter((cidr) => cidr.family === family);
    if (more.length > 0) problems.push(`node ${view.name} has more than one ${family} pod CIDR: ${more.join(', ')} is not used`);
    return first ?? [];
  });
  for (const family of families) {
    if (!chosen.some((address) => address.family === family))
      problems.push(
        `node ${view.name} has no ${family} InternalIP on a link here: its pods are not reached by ${family} from other nodes`,
      );
    if (podCidrs.length > 0 && !podCidrs.some((cidr) => cidr.family === family))
      problems.push(`node ${view.name} has no ${family} pod CIDR: its pods get no ${family} address`);
  }
  return {
    self: { name: view.name, addresses: chosen, podCidrs, created: view.created },
    local: {
      uplink: uplink.name,
      onLink: onUplink.map(({ address, prefixLength }) => Prefix.of(address, prefixLength)),
      uplinkMtu: uplink.mtu,
      ...underlay(uplink, [...links.values()], present),
      ...acceptRa(ns, uplink.name),
    },
    zone: view.zone,
    nodePortAddresses: nodePortCidrs
      ? present
          .map(({ address }) => address)
          .filter((address) => families.includes(address.family) && !address.isLoopback && !address.isLinkLocal)
          .filter((address) => nodePortCidrs.some((cidr) => cidr.contains(address)))
          .sort((a, b) => a.compare(b))
      : chosen,
    problems,
  };
}

/** Whether both would be planned alike. */
export const sameFacts = (a: NodeFacts | undefined, b: NodeFacts): boolean => a !== undefined && text(a) === text(b);

const text = ({ self, local, zone, nodePortAddresses, problems }: NodeFacts): string =>
  [
    ...[self.name, self.created, zone, self.addresses.join(), self.podCidrs.join(), nodePortAddresses.join()],
    ...[local.uplink, local.onLink.join(), local.uplinkMtu, local.acceptRa, local.underlay?.join(), problems.join()],
  ].join('|');

/**
 * The links by which other nodes' packets come: the uplink (or the VRF that it is in, which the kernel says instead), and those with addresses on the same network, since each of them
 * may answer when somebody there asks for the uplink's address (arp_ignore 0). An address of lo or of a dummy is reached by whichever link it is announced by.
 */
function underlay(uplink: Link, links: readonly Link[], present: readonly Address[]): Pick<LocalFacts, 'underlay'> {
  if (uplink.hardwareType === loopback || uplink.type === 'dummy') return {};
  const networks = present
    .filter(({ link, address }) => link === uplink.index && !address.isLinkLocal)
    .map(({ address, prefixLength }) => Prefix.of(address, prefixLength));
  const isBeside = ({ index }: Link): boolean =>
    present.some(({ link, address }) => link === index && networks.some((network) => network.contains(address)));
  return { underlay: links.filter((link) => link === uplink || link.index === uplink.master || isBeside(link)).map(({ name }) => name) };
}

function acceptRa(ns: NetNs, uplink: string): Pick<LocalFacts, 'acceptRa'> {
  try {
    return { acceptRa: Number(readSysctl(ns, `net/ipv6/conf/${uplink}/accept_ra`)) };
  } catch (error) {
    if (isNotFound(error)) return {};
    throw error;
  }
}
