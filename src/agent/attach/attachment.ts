import type { Result } from '../../cni/result.ts';
import type { Lease } from '../../ipam/index.ts';
import { type AttachMode, type Bandwidth, hostMac, type LinkNode, type PodLink, podMac } from '../../links/index.ts';
import { Mac } from '../../net/mac.ts';
import { Prefix } from '../../net/prefix.ts';

/** What is kept with a lease, so that an attachment is known again after a restart. */
export interface AttachmentNotes extends Record<string, string> {
  /** Name of the veth's end on the node. */
  link: string;
  mtu: string;
  netns: string;
  /** Of the namespace: whether the one at that path now is another. '' when it could not be told. */
  inode: string;
  /** The MAC that was asked for, or '' */
  mac: string;
  /** `Bandwidth` as JSON, or '' when it is not limited. */
  bandwidth: string;
  /** When the attachment was made, RFC 3339; '' when it is not known. */
  since: string;
  /** `namespace/name` of the pod, or '' */
  pod: string;
  /** What policies select it by, as `policy/pod-traits.ts` writes it; '' when that is not known. */
  traits: string;
  /** Its host ports, as `formatMappings` of the room hostports writes them, or '' */
  ports: string;
}

/** The link that belongs to a lease; undefined for a lease that this version did not write. */
export function linkOf({ key, addresses, notes }: Lease): PodLink | undefined {
  const { link, mtu, mac, bandwidth, pod: name } = notes;
  if (link === undefined || !(Number(mtu) > 0)) return undefined;
  const pod: PodLink = { hostLink: link, ifname: key.ifname, addresses, mtu: Number(mtu) };
  if (name) pod.pod = name;
  if (mac) pod.mac = Mac.parse(mac);
  if (bandwidth) pod.bandwidth = JSON.parse(bandwidth) as Bandwidth;
  return pod;
}

/** The answer to ADD (CNI12): the node's end first, the primary family first (CRI5). */
export function resultOf(pod: PodLink, netns: string, mode: AttachMode, node: LinkNode): Result {
  const { hostLink, ifname, addresses, mtu } = pod;
  return {
    interfaces: [
      { name: hostLink, mac: String(hostMac), mtu },
      { name: ifname, mac: String(podMac(pod)), mtu, sandbox: netns },
    ],
    ips: addresses.map((address) => ({
      address: `${address}/${mode.prefixLength(address, node)}`,
      gateway: String(mode.gateway(address, node)),
      interface: 1,
    })),
    routes: addresses.map((address) => ({
      dst: String(Prefix.all(address.family)),
      gw: String(mode.gateway(address, node)),
    })),
    dns: {},
  };
}
