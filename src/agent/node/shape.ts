import type { NodeShape } from '../../foreign/index.ts';
import type { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { attachModes, podGroup } from '../../links/index.ts';
import type { Settings } from '../settings.ts';
import type { NodeFacts } from './facts.ts';
import type { WayToPods } from './network.ts';

/** Links that there is none of yet: no rule can name them by number. */
const noIndex = 0x7ffffff0;

/** What foreign rules are judged by, from what the agent knows of its node. */
export function nodeShape(settings: Settings, facts: NodeFacts, ways: readonly WayToPods[], rt: RtNetlink): NodeShape {
  const { families, attach, clusterCidrs, serviceCidrs, clusterDns, vxlan } = settings;
  const { self, local } = facts;
  const links = new Map(rt.links().map((link) => [link.name, link]));
  const view = (name: string, missing = noIndex): NodeShape['uplink'] => {
    const link = links.get(name);
    return {
      name,
      index: link?.index ?? missing,
      group: link?.group ?? 0,
      ...(link?.type === undefined ? {} : { kind: link.type }),
    };
  };
  // Which name a pod's link has follows from its attachment.
  const podLink = (number: number): NodeShape['uplink'] => {
    const name = attachModes[attach].entrance({ hostLink: 'pod????????', ifname: 'eth0', addresses: [], mtu: 0 });
    return name.includes('?') ? { name, index: noIndex + number, group: podGroup, kind: 'veth' } : view(name);
  };
  const end = self.addresses[0];
  const tunnelled = ways.find(({ tunnelEnd }) => tunnelEnd !== undefined);
  return {
    ...{ families, clusterCidrs, serviceCidrs, clusterDns },
    podCidrs: self.podCidrs,
    addresses: self.addresses,
    podLinks: [podLink(1), podLink(2)],
    uplink: view(local.uplink),
    peers: ways.map(({ podCidr, link }) => ({ podCidr, link: view(link, noIndex + 3) })),
    ...(end && tunnelled?.tunnelEnd ? { tunnel: { port: vxlan.port, local: end, remote: tunnelled.tunnelEnd } } : {}),
  };
}
