import { Conntrack } from '../../../kernel/conntrack.ts';
import type { NetNs } from '../../../kernel/netns.ts';
import { Nft } from '../../../kernel/nftables/index.ts';
import { writeSysctl } from '../../../kernel/sysctl.ts';
import { IpAddr } from '../../../net/ip.ts';
import { Mac } from '../../../net/mac.ts';
import { Prefix } from '../../../net/prefix.ts';
import { NftWriter, Reconciler } from '../../../reconcile/index.ts';
import { run } from '../../../testing/judge.ts';
import { type TestNs, TestWorld } from '../../../testing/netns.ts';

/** Somebody who sends and receives. */
export interface End {
  name: string;
  kind: 'pod' | 'node' | 'outside' | 'sentinel';
  ns: NetNs;
  addresses: readonly IpAddr[];
  /** Of the node that it is on or that it is; 1 or 2. */
  node?: number;
  /** Of the Service that leads to it, in the order of `addresses`. */
  services?: readonly IpAddr[];
}

export interface FabricNode {
  name: string;
  ns: NetNs;
  /** Empty but for podnet's table. */
  reconciler: Reconciler;
}

/** As links of pods have it on a node (room `links`). */
export const podGroup = 0x706e;
const hostMac = Mac.parse('ee:ee:ee:ee:ee:ee');

const pods = [1, 2, 3, 4, 5, 6, 7, 8];
/** Those with an odd number are on n1. */
export const nodeOfPod = (pod: number): number => (pod % 2 === 1 ? 1 : 2);
const podAddresses = (pod: number): string[] => [`10.0.0.${pod}`, `fd00::${pod}`];
export const nodeAddresses = (node: number): string[] => [`192.0.2.${node}`, `2001:db8:0:1::${node}`];
/** Translated to the pod's own by every node, with all ports: a Service of one endpoint. */
const serviceAddresses = (pod: number): string[] => [`10.96.0.${pod}`, `fd96::${pod}`];
const outside = ['203.0.113.5', '203.0.113.200', '198.51.100.9', '2001:db8:ffff::1', '2001:db8:fffe::1'];
/** Of pods that no policy knows. */
const sentinelAddresses = (node: number): string[] => [`10.99.0.${node}`, `fd99::${node}`];

const parsed = (texts: readonly string[]): IpAddr[] => texts.map((text) => IpAddr.parse(text));

/** Nobody's address, so that no connection must be given another port because of it. */
const hairpin = ['10.98.0.1', 'fd98::1'];

/** For nft: Services, and the way back for a pod that reaches itself by one, which must not come from itself. */
function translations(): string {
  const maps = (['ip', 'ip6'] as const).map((family, i) => {
    const pairs = pods.map((pod) => `${serviceAddresses(pod)[i]} : ${podAddresses(pod)[i]}`).join(', ');
    const selves = pods.map((pod) => `${podAddresses(pod)[i]} . ${podAddresses(pod)[i]}`).join(', ');
    return [
      `add table ${family} services`,
      `add chain ${family} services to { type nat hook prerouting priority dstnat; }`,
      `add rule ${family} services to dnat to ${family} daddr map { ${pairs} }`,
      `add chain ${family} services from { type nat hook postrouting priority srcnat; }`,
      `add rule ${family} services from ${family} saddr . ${family} daddr { ${selves} } snat to ${hairpin[i]}`,
    ];
  });
  return maps.flat().join('; ');
}

const gateways = ['169.254.1.1', 'fe80::1'];
const routerMac = Mac.parse('0a:00:00:00:00:fe');
const podMac = (link: number): Mac => Mac.parse(`0a:58:00:00:00:${link.toString(16).padStart(2, '0')}`);
const nodeMac = (node: number): Mac => Mac.parse(`0a:00:00:00:00:0${node}`);

/**
 * Nodes n1 and n2 with their pods, and a router between them which is all of the outside too. Every neighbour is known from the start, so that no packet waits or is lost
 * before it has met policies.
 */
export class Fabric implements Disposable {
  readonly ends: readonly End[];
  readonly sentinels: readonly End[];
  readonly nodes: readonly FabricNode[];
  readonly #world = new TestWorld('policy');
  readonly #nft: Nft[] = [];

  constructor() {
    try {
      const router = this.#namespace('outside');
      const [n1, n2] = [this.#namespace('n1'), this.#namespace('n2')];
      const nodes = [n1, n2];
      for (const [i, node] of nodes.entries()) uplink(router, node, i + 1);
      for (const text of outside) addAddress(router, 1, text);
      const ends: End[] = pods.map((pod) => ({
        ...this.#pod(`p${pod}`, 'pod', nodes[nodeOfPod(pod) - 1]!, nodeOfPod(pod), podAddresses(pod), pod),
        services: parsed(serviceAddresses(pod)),
      }));
      for (const pod of pods) toPods(router, [...podAddresses(pod), ...serviceAddresses(pod)], nodeOfPod(pod));
      for (const { path } of nodes) run(path, 'nft', translations());
      this.sentinels = [1, 2].map((n) => this.#pod(`s${n}`, 'sentinel', nodes[n - 1]!, n, sentinelAddresses(n), 100 + n));
      for (const n of [1, 2]) toPods(router, sentinelAddresses(n), n);
      ends.push({ name: 'n1', kind: 'node', ns: n1.ns, addresses: parsed(nodeAddresses(1)), node: 1 });
      ends.push({ name: 'n2', kind: 'node', ns: n2.ns, addresses: parsed(nodeAddresses(2)), node: 2 });
      ends.push({ name: 'outside', kind: 'outside', ns: router.ns, addresses: parsed(outside) });
      this.ends = ends;
      this.nodes = nodes.map(({ ns }, i) => {
        const nft = Nft.open(ns);
        this.#nft.push(nft);
        const reconciler = new Reconciler([new NftWriter(nft)]);
        reconciler.contribute('table', [{ kind: 'nft-table', name: 'podnet', comment: 'test' }]);
        return { name: `n${i + 1}`, ns, reconciler };
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Nodes know of no connection any more. */
  forgetConnections(): void {
    for (const { ns } of this.nodes) {
      using conntrack = Conntrack.open(ns);
      conntrack.deleteAll(conntrack.list());
    }
  }

  #namespace(name: string): TestNs {
    const made = this.#world.namespace(name);
    for (const family of ['ipv4', 'ipv6']) writeSysctl(made.ns, `net/${family}/conf/all/forwarding`, '1');
    // As many ICMP errors as there are reasons.
    writeSysctl(made.ns, 'net/ipv4/icmp_ratelimit', '0');
    writeSysctl(made.ns, 'net/ipv6/icmp/ratelimit', '0');
    return made;
  }

  #pod(name: string, kind: End['kind'], node: TestNs, number: number, addresses: readonly string[], index: number): End {
    const pod = this.#world.namespace(name);
    writeSysctl(pod.ns, 'net/ipv4/icmp_ratelimit', '0');
    writeSysctl(pod.ns, 'net/ipv6/icmp/ratelimit', '0');
    veth(node, { name, mac: hostMac, group: podGroup }, pod, { name: 'eth0', mac: podMac(index) });
    for (const text of addresses) {
      addAddress(pod, pod.index('eth0'), text);
      addRoute(node, text, name);
      addNeighbour(node, name, text, podMac(index));
    }
    for (const gateway of gateways) {
      addRoute(pod, gateway.includes(':') ? '::/0' : '0.0.0.0/0', 'eth0', gateway);
      addNeighbour(pod, 'eth0', gateway, hostMac);
    }
    return { name, kind, ns: pod.ns, addresses: addresses.map((text) => IpAddr.parse(text)), node: number };
  }

  [Symbol.dispose](): void {
    for (const nft of this.#nft) nft[Symbol.dispose]();
    this.#world[Symbol.dispose]();
  }
}

interface VethEnd {
  name: string;
  mac: Mac;
  group?: number;
}

function veth(a: TestNs, first: VethEnd, b: TestNs, second: VethEnd): void {
  a.rt.addLink({ type: 'veth', ...first, peer: { ...second, netNs: b.ns.fd } });
  for (const [ns, name] of [
    [a, first.name],
    [b, second.name],
  ] as const)
    ns.rt.setLink(ns.index(name), { addrGenMode: 'none', up: true });
}

const isIpv6 = (text: string): boolean => text.includes(':');

const addAddress = ({ rt }: TestNs, link: number, text: string): void =>
  rt.addAddress({ link, address: IpAddr.parse(text), prefixLength: isIpv6(text) ? 128 : 32, flags: ['nodad'] });

const addNeighbour = (ns: TestNs, link: string, text: string, mac: Mac): void =>
  ns.rt.replaceNeighbour({ link: ns.index(link), address: IpAddr.parse(text), mac });

const addRoute = (ns: TestNs, to: string, link: string, gateway?: string): void =>
  ns.rt.addRoute({
    ...{ destination: to.includes('/') ? Prefix.parse(to) : Prefix.host(IpAddr.parse(to)), link: ns.index(link), protocol: 4 },
    ...(gateway === undefined ? {} : { gateway: IpAddr.parse(gateway), onlink: true }),
  });

function uplink(router: TestNs, node: TestNs, number: number): void {
  veth(node, { name: 'up', mac: nodeMac(number) }, router, { name: `n${number}`, mac: routerMac });
  for (const text of nodeAddresses(number)) {
    addAddress(node, node.index('up'), text);
    addRoute(router, text, `n${number}`);
    addNeighbour(router, `n${number}`, text, nodeMac(number));
  }
  for (const gateway of gateways) {
    addRoute(node, isIpv6(gateway) ? '::/0' : '0.0.0.0/0', 'up', gateway);
    addNeighbour(node, 'up', gateway, routerMac);
  }
}

/** The way to a node's pods is the way to the node. */
function toPods(router: TestNs, addresses: readonly string[], node: number): void {
  for (const text of addresses) {
    addRoute(router, text, `n${node}`);
    addNeighbour(router, `n${node}`, text, nodeMac(node));
  }
}
