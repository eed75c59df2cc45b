import { addressBits, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { Item, Neighbour, Route, Sysctl } from '../reconcile/model.ts';
import { type AttachMode, ipv6Settings, sourceFor } from './mode.ts';
import { hostMac, podMac } from './pod-link.ts';
import { planShaper } from './shaper.ts';

const gateways = { ipv4: IpAddr.parse('169.254.1.1'), ipv6: IpAddr.parse('fe80::1') };

/**
 * No shared layer 2: each pod has a /32 and a /128, its only neighbour is the host, and the host has a route to each.
 *
 *     pod  10.244.1.7/32 dev eth0, default via 169.254.1.1 onlink, 169.254.1.1 is at ee:ee:ee:ee:ee:ee
 *     node 10.244.1.7/32 dev pod0a1b2c3d src 172.30.0.11, 10.244.1.7 is at 0a:58:0a:f4:01:07
 */
export const routed: AttachMode = {
  name: 'routed',
  // A packet that leaves by the link it came from (hairpin) is meant to: no ICMP redirects. The kernel sends them when either this or the link's own is on.
  planNode: ({ families }) => (families.includes('ipv4') ? [sysctl('net/ipv4/conf/all/send_redirects', '0')] : []),
  planPod(pod, node) {
    const link: Item = { kind: 'link', name: pod.hostLink, type: 'veth', mtu: pod.mtu, mac: hostMac, up: true };
    const mac = podMac(pod);
    const perAddress = pod.addresses.flatMap((address): (Route | Neighbour)[] => [
      { kind: 'neighbour', link: pod.hostLink, address, mac },
      {
        kind: 'route',
        destination: Prefix.host(address),
        type: 'unicast',
        link: pod.hostLink,
        ...sourceFor(node, address.family),
      },
    ]);
    const ipv4 = pod.addresses.some(({ family }) => family === 'ipv4')
      ? [
          // Answers ARP for the gateway, for a pod that asks although it has been told.
          sysctl(`net/ipv4/conf/${pod.hostLink}/proxy_arp`, '1'),
          sysctl(`net/ipv4/conf/${pod.hostLink}/send_redirects`, '0'),
          // What comes in must have an address that the way back leads to: the pod's own.
          sysctl(`net/ipv4/conf/${pod.hostLink}/rp_filter`, '1'),
          sysctl(`net/ipv4/conf/${pod.hostLink}/accept_redirects`, '0'),
        ]
      : [];
    const ipv6 = pod.addresses.some(({ family }) => family === 'ipv6') ? ipv6Settings(pod.hostLink) : [];
    return [link, ...ipv4, ...ipv6, ...perAddress, ...planShaper(pod)];
  },
  gateway: ({ family }) => gateways[family],
  prefixLength: ({ family }) => addressBits(family),
  hostEnd: () => ({}),
  entrance: ({ hostLink }) => hostLink,
  finish(batch, link, pod) {
    // Neighbour discovery for the gateway is answered for an address of the link only; link-local ones may be on every link.
    if (pod.addresses.some(({ family }) => family === 'ipv6'))
      batch.addAddress({ link, address: gateways.ipv6, prefixLength: 64, scope: 'link', flags: ['nodad'] });
  },
  // A link that goes down loses its IPv6 addresses.
  isFinished: ({ index }, pod, { addresses }) =>
    pod.addresses.every(({ family }) => family === 'ipv4') ||
    addresses.some(({ link, address }) => link === index && address.equals(gateways.ipv6)),
};

function sysctl(name: string, value: string): Sysctl {
  return { kind: 'sysctl', name, value };
}
