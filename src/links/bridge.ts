import type { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Address, Item, Neighbour, Route, Sysctl } from '../reconcile/model.ts';
import { type AttachMode, ipv6Settings, type LinkNode, sourceFor } from './mode.ts';
import { hostMac, podMac } from './pod-link.ts';
import { planShaper } from './shaper.ts';

export const bridgeLink = 'cbr0';

/**
 * The picture of the classic texts, with the path of `routed`: all ports of the bridge are isolated, so that frames go to the host and nowhere else;
 * the pod's address comes without a prefix route, so that it sends everything to the gateway; and the host routes between its pods, which thus
 * need no br_netfilter.
 *
 *     pod  10.244.1.7/24 dev eth0 noprefixroute, default via 10.244.1.1 onlink
 *     node cbr0 10.244.1.1; 10.244.1.7/32 dev cbr0 src 172.30.0.11, 10.244.1.7 is at 0a:58:0a:f4:01:07
 */
export const bridge: AttachMode = {
  name: 'bridge',
  planNode(node) {
    const link: Item = { kind: 'link', name: bridgeLink, type: 'bridge', mtu: node.podMtu, mac: hostMac, up: true };
    // Host addresses: a prefix route would collide with the one that answers for addresses that no pod has.
    const addresses = node.podCidrs.map(
      (cidr): Address => ({
        kind: 'address',
        link: bridgeLink,
        address: gatewayOf(cidr),
        prefixLength: Prefix.host(cidr.address).length,
      }),
    );
    return [link, ...addresses, ...settings(node)];
  },
  planPod(pod, node) {
    const link: Item = {
      kind: 'link',
      name: pod.hostLink,
      type: 'veth',
      mtu: pod.mtu,
      mac: hostMac,
      up: true,
      master: bridgeLink,
    };
    const mac = podMac(pod);
    const perAddress = pod.addresses.flatMap((address): (Route | Neighbour)[] => [
      { kind: 'neighbour', link: bridgeLink, address, mac },
      { kind: 'route', destination: Prefix.host(address), type: 'unicast', link: bridgeLink, ...sourceFor(node, address.family) },
    ]);
    return [link, ...perAddress, ...planShaper(pod)];
  },
  gateway: (address, node) => gatewayOf(cidrOf(address, node)),
  prefixLength: (address, node) => cidrOf(address, node).length,
  hostEnd(index) {
    const master = index(bridgeLink);
    if (master === undefined) throw new Error(`the node has no link ${bridgeLink} yet, which pods are attached to`);
    return { master };
  },
  entrance: () => bridgeLink,
  finish(batch, link, pod) {
    // Nothing is learned or flooded: the pod's MAC is known, and frames with another one are dropped (locked: Linux 5.18).
    batch.setLink(link, { port: { isolated: true, learning: false, unicastFlood: false, locked: true } });
    batch.addFdb({ link, mac: podMac(pod), flags: ['master'], state: ['noarp'] });
  },
  // A link that is taken off its bridge loses both.
  isFinished({ index, port }, pod, { fdb }) {
    const mac = podMac(pod);
    const isKnown = fdb.some((entry) => entry.link === index && entry.mac.equals(mac) && entry.state?.includes('noarp'));
    return isKnown && port?.isolated === true && port.learning === false && port.unicastFlood === false && port.locked !== false;
  },
};

const gatewayOf = (cidr: Prefix): IpAddr => cidr.at(1);

/** Of a family; RFC 4291 and the usual node of Kubernetes. */
const usualLength = { ipv4: 24, ipv6: 64 } as const;

/** One from a former pod CIDR (PC6) lives on with what it was given then: the nodes' CIDRs of a family are alike in length (PC1). */
function cidrOf(address: IpAddr, { podCidrs }: LinkNode): Prefix {
  const cidr = podCidrs.find((prefix) => prefix.contains(address));
  if (cidr) return cidr;
  const { length } = podCidrs.find(({ family }) => family === address.family) ?? { length: usualLength[address.family] };
  return Prefix.of(address, length);
}

/**
 * br_netfilter translates while a packet is still a frame: one that a Service sends to a pod on the same bridge, perhaps to the very pod that it came
 * from, is then switched from port to port, which isolation forbids (br_nf_pre_routing_finish, net/bridge/br_netfilter_hooks.c). Every packet of a pod is
 * routed, so the hooks of IP see all of them.
 */
const withoutBridgeNetfilter = ['iptables', 'ip6tables'].map(
  (hook): Sysctl => ({ kind: 'sysctl', name: `net/bridge/bridge-nf-call-${hook}`, value: '0', optional: true }),
);

function settings({ families }: LinkNode): Sysctl[] {
  const common = [...withoutBridgeNetfilter, ...(families.includes('ipv6') ? ipv6Settings(bridgeLink) : [])];
  if (!families.includes('ipv4')) return common;
  return [
    ...common,
    // Packets between pods leave by the link they came from.
    { kind: 'sysctl', name: 'net/ipv4/conf/all/send_redirects', value: '0' },
    { kind: 'sysctl', name: `net/ipv4/conf/${bridgeLink}/send_redirects`, value: '0' },
    // What comes in must have an address that the way back leads to: nobody else's entry is made of an ARP request.
    { kind: 'sysctl', name: `net/ipv4/conf/${bridgeLink}/rp_filter`, value: '1' },
    { kind: 'sysctl', name: `net/ipv4/conf/${bridgeLink}/accept_redirects`, value: '0' },
    // A pod that asks for another's MAC all the same is told the bridge's.
    { kind: 'sysctl', name: `net/ipv4/conf/${bridgeLink}/proxy_arp_pvlan`, value: '1' },
  ];
}
