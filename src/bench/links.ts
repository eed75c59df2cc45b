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

/** Joins two namespaces with a veth pair, `name` here and `node` there, each end with an address of a /24. @param group of the end here */
export function join(a: NetNs, name: string, aAddress: string, b: NetNs, bAddress: string, group = 0): void {
  using here = RtNetlink.open(a);
  using there = RtNetlink.open(b);
  here.addLink({ type: 'veth', name, group, peer: { name: 'node', netNs: b.fd } });
  for (const [rt, link, address] of [
    [here, name, aAddress],
    [there, 'node', bAddress],
  ] as const) {
    const { index } = rt.link(link)!;
    rt.setLink(index, { up: true, addrGenMode: 'none' });
    rt.addAddress({ link: index, address: IpAddr.parse(address), prefixLength: 24 });
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
