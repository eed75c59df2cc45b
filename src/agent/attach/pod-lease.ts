import { CniError, cniCode } from '../../cni/errors.ts';
import type { AttachmentKey, PodIdentity } from '../../cni/request.ts';
import type { Wishes } from '../../cni/wishes.ts';
import { type Ipam, keyText, type Lease } from '../../ipam/index.ts';
import { hostLinkName, hostMac, type LinkNode, podMac } from '../../links/index.ts';
import type { Mac } from '../../net/mac.ts';
import { traitsNote } from '../policy/pod-traits.ts';
import type { PodView } from '../watch/pod-view.ts';
import { type AttachmentNotes, linkOf } from './attachment.ts';
import type { HostPorts } from './hostports.ts';

/** What an ADD asks for. */
export interface Asked {
  key: AttachmentKey;
  netns: string;
  /** Of the namespace, as it is noted. */
  inode: string;
  pod: PodIdentity;
  wishes: Wishes;
  node: LinkNode;
  /** What isolates the pod follows from; undefined where nothing does. */
  view: PodView | undefined;
}

/**
 * Gives a container its addresses, and what it asked for besides.
 * @param withdrawPorts takes the host ports from a former sandbox of the same pod
 * @throws CniError 7 for a MAC or host port that somebody has; IpamError
 */
export function leaseFor(
  { key, netns, inode, pod, wishes, node, view }: Asked,
  ipam: Ipam,
  hostPorts: HostPorts,
  withdrawPorts: (former: Lease) => void,
): Lease {
  const { ips, mac, bandwidth } = wishes;
  if (mac) requireFree(mac, ipam);
  const name = [pod.namespace, pod.name].filter(Boolean).join('/');
  const podFamilies = ipam.ranges.map(({ family }) => family);
  const { note: ports, former } = hostPorts.claim(wishes.ports, key, name, podFamilies);
  for (const lease of former) withdrawPorts(lease);
  const notes: AttachmentNotes = {
    link: freeLinkName(keyText(key), ipam),
    mtu: String(node.podMtu),
    netns,
    inode,
    pod: name,
    traits: view ? traitsNote(view) : '',
    mac: mac ? String(mac) : '',
    bandwidth: bandwidth ? JSON.stringify(bandwidth) : '',
    since: new Date().toISOString(),
    ports,
  };
  return ipam.allocate(key, notes, ips);
}

function freeLinkName(identity: string, ipam: Ipam): string {
  const leases = ipam.leases();
  for (let attempt = 0; ; attempt++) {
    const name = hostLinkName(identity, attempt);
    if (!leases.some(({ notes }) => notes.link === name)) return name;
  }
}

/** Two stations with one MAC on a bridge would take each other's frames. */
function requireFree(mac: Mac, ipam: Ipam): void {
  const other = ipam.leases().find((lease) => {
    const link = linkOf(lease);
    return link && podMac(link).equals(mac);
  });
  if (!other && !mac.equals(hostMac)) return;
  const by = other ? other.notes.pod || `container ${other.key.containerId}` : 'the node';
  throw new CniError(
    cniCode.invalidConfig,
    `runtimeConfig.mac is "${mac}", which ${by} has already`,
    'ask for another, or for none',
  );
}
