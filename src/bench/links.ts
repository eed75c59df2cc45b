import { NetNs } from '../kernel/netns.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';

/** A namespace with `lo` up. */
export function namespaceAt(path: string): NetNs {
  const ns = NetNs.create(path);
  using rt = RtNetlink.open(ns);
  rt.setLink(1, { up: true });
  return ns;
}

const subnetLength = { ipv4: 24, ipv6: 64 } as const;
let linkLocals = 0;

/** Usable at once. IPv6 links get a link-local address too: a router without one cannot ask for its neighbours. */
function addAddress(rt: RtNetlink, link: number, text: string): void {
  const address = IpAddr.parse(text);
  const { family } = address;
  rt.addAddress({ link, address, prefixLength: subnetLength[family], flags: ['nodad'] });
  if (family === 'ipv6')
    rt.addAddress({ link, address: IpAddr.parse('fe80::be:0:0').offset(++linkLocals), prefixLength: 64, scope: 'link', flags: ['nodad'] });
}

/** Joins two namespaces with a veth pair, `name` here and `node` there, each end with an address of a /24 or /64. @param group of the end here */
export function join(a: NetNs, name: string, aAddress: string | undefined, b: NetNs, bAddress: string, group = 0): void {
  using here = RtNetlink.open(a);
  using there = RtNetlink.open(b);
  here.addLink({ type: 'veth', name, group, peer: { name: 'node', netNs: b.fd } });
  for (const [rt, link, address] of [
    [here, name, aAddress],
    [there, 'node', bAddress],
  ] as const) {
    const { index } = rt.link(link)!;
    rt.setLink(index, { up: true, addrGenMode: 'none' });
    if (address !== undefined) addAddress(rt, index, address);
  }
}

/** Makes links ports of a new bridge, from each of which frames go to the node alone. */
export function bridge(ns: NetNs, name: string, ports: readonly string[], addresses: readonly string[]): void {
  using rt = RtNetlink.open(ns);
  rt.addLink({ type: 'bridge', name });
  const { index } = rt.link(name)!;
  rt.setLink(index, { up: true, addrGenMode: 'none' });
  for (const address of addresses) addAddress(rt, index, address);
  for (const port of ports) {
    const link = rt.link(port)!.index;
    rt.setLink(link, { master: index });
    rt.setLink(link, { port: { isolated: true } });
  }
}

export function route(ns: NetNs, destination: string, link: string, gateway: string): void {
  using rt = RtNetlink.open(ns);
  rt.addRoute({ destination: Prefix.parse(destination), gateway: IpAddr.parse(gateway), link: rt.link(link)!.index, protocol: 4 });
}

/** Every address of the prefix is the namespace's own. */
export function local(ns: NetNs, destination: string): void {
  using rt = RtNetlink.open(ns);
  rt.addRoute({ destination: Prefix.parse(destination), type: 'local', link: 1, table: 255, protocol: 4 });
}
