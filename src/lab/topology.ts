import type { Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { familiesOf, type LabConfig } from './config.ts';

/**
 * The lab's underlay as plain data. Every lab uses the same addresses: they live in namespaces of their own and never meet.
 *
 *      outside ── router ──┬── link 0 (bridge in the underlay namespace; the API server has an address on it)
 *   198.51.100.0/24        │      ├─ node-1 eth0   172.30.0.11
 *   2001:db8:51:100::/64   │      └─ node-2 eth0   172.30.0.12
 *                          └── link 1
 *                                 └─ node-3 eth0   172.30.1.13
 */
export interface Topology {
  families: readonly Family[];
  links: UnderlayLink[];
  nodes: UnderlayNode[];
  /** Where agents and pods reach the API server; primary first. On link 0. */
  apiAddresses: IpAddr[];
  outside: { router: Interface[]; client: Interface[] };
}

export interface UnderlayLink {
  index: number;
  bridge: string;
  router: Interface[];
  /** Addresses of the bridge itself, in the underlay namespace. */
  bridgeAddresses: Interface[];
}

export interface UnderlayNode {
  name: string;
  link: number;
  interfaces: Interface[];
  /** Default gateways, one for each family. */
  gateways: IpAddr[];
  labels: Record<string, string>;
}

/** An address with the prefix of its link. */
export interface Interface {
  address: IpAddr;
  prefix: Prefix;
}

const routerHost = 1;
const bridgeHost = 2;
const firstNodeHost = 11;

export function topology(config: LabConfig): Topology {
  const served = familiesOf(config);
  const at = (prefixes: Prefix[], host: number): Interface[] => prefixes.map((prefix) => ({ address: prefix.at(host), prefix }));
  const linkPrefixes = (index: number): Prefix[] =>
    served.map((family) => Prefix.parse(family === 'ipv4' ? `172.30.${index}.0/24` : `fd30:0:0:${index}::/64`));
  const count = Math.max(...config.nodes.map((node) => node.link)) + 1;
  const links = Array.from({ length: count }, (_, index) => ({
    index,
    bridge: `link${index}`,
    router: at(linkPrefixes(index), routerHost),
    bridgeAddresses: at(linkPrefixes(index), bridgeHost),
  }));
  const nodes = config.nodes.map((node, i) => ({
    name: node.name,
    link: node.link,
    interfaces: at(linkPrefixes(node.link), firstNodeHost + i),
    gateways: linkPrefixes(node.link).map((prefix) => prefix.at(routerHost)),
    labels: node.labels ?? {},
  }));
  const beyond = served.map((family) => Prefix.parse(family === 'ipv4' ? '198.51.100.0/24' : '2001:db8:51:100::/64'));
  return {
    families: served,
    links,
    nodes,
    apiAddresses: links[0]!.bridgeAddresses.map((face) => face.address),
    outside: { router: at(beyond, routerHost), client: at(beyond, 10) },
  };
}

/** The address of Service default/kubernetes: the first of each Service CIDR. */
export const kubernetesServiceIps = (config: LabConfig): IpAddr[] => config.serviceCidrs.map((text) => Prefix.parse(text).at(1));

/** The cluster DNS addresses: the tenth of each Service CIDR, as kubeadm does. */
export const clusterDnsIps = (config: LabConfig): IpAddr[] => config.serviceCidrs.map((text) => Prefix.parse(text).at(10));
