import { type Chain, match, type NftSetSpec } from '../kernel/nftables/index.ts';
import { type Family, families, IpAddr } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { Prefix } from '../net/prefix.ts';
import type { Item, NftElement } from '../reconcile/model.ts';

const { arpSenderMac, arpSenderAddress, isArpProbe, toBridgeItself } = match;
const { rule, concat, iifname, etherSaddr, saddr, isIn, isWithin, daddrFrom, protocol, udpDport, icmpType } = match;
const { iifIsLoopback, iifInGroup, iifIs, addressIsLocal, countIn, accept, drop, goto } = match;

/** How pods' packets enter the node. */
export interface DoorNode {
  /** Group of the links whose other ends are pods. */
  group: number;
  /** The bridge whose ports the pods are, if that is how they hang on the node. */
  bridge?: string;
  /** The kernel filters ARP (CONFIG_NF_TABLES_ARP). */
  arp: boolean;
  /** The kernel filters frames on bridges (NF_TABLES_BRIDGE). */
  frames?: boolean;
}

/** Who may come in by a link: one pod. */
export interface Guest {
  /** The link that the kernel says its packets come by: the host end of its veth, or the bridge. */
  link: string;
  mac: Mac;
  addresses: readonly IpAddr[];
}

const tableName = 'podnet';

/** Why a packet is dropped; each has a named counter. */
export const reasons = {
  'door-source': 'the source address or MAC is not the one that the pod was given',
  'door-loopback': '127.0.0.0/8 from outside of lo (CVE-2020-8558)',
  'door-router': 'a router advertisement or solicitation of a pod',
  'door-redirect': 'an ICMP redirect of a pod, or to one',
  'door-dhcp': 'an answer of a DHCP server in a pod',
  'door-neighbour': 'a neighbour advertisement of a pod, which nobody asked for',
  'door-multicast': 'broadcast or multicast of a pod',
  'door-arp': 'an ARP packet whose sender is not the pod',
} as const;
export type Reason = keyof typeof reasons;

const number = { ipv4: 4, ipv6: 6 } as const;
const guests = (family: Family): string => `door-guests${number[family]}`;
const own = (family: Family): string => `door-own${number[family]}`;

const sets: readonly NftSetSpec[] = families.map((family) => ({
  ...{ name: guests(family), key: `ifname . ether_addr . ${family === 'ipv4' ? 'ipv4_addr' : 'ipv6_addr'}`, flags: [] },
  comment: 'link, MAC and address of pods',
}));

/** NF_IP_PRI_RAW_BEFORE_DEFRAG: a forged fragment must not be put together with those of the pod that it claims to be from. */
const beforeDefrag = -450;

const loopback = Prefix.parse('127.0.0.0/8');
const linkLocal = Prefix.parse('fe80::/10');
const multicast = Prefix.parse('ff00::/8');
/** All routers that listen for members of groups (RFC 3810): each kernel reports to it, and nobody is there. */
const membership = Prefix.parse('ff02::16/128');
const unspecified = Prefix.parse('::/128');
const firstMulticast = IpAddr.parse('224.0.0.0');

const refuse = (reason: Reason): match.Part[] => [countIn(reason), drop];

/** ICMPv6 types, RFC 4861. */
const discovery = {
  routerSolicitation: icmpType('ipv6', 133, 'nd-router-solicit'),
  routerAdvertisement: icmpType('ipv6', 134, 'nd-router-advert'),
  neighbourSolicitation: icmpType('ipv6', 135, 'nd-neighbor-solicit'),
  neighbourAdvertisement: icmpType('ipv6', 136, 'nd-neighbor-advert'),
  redirect: icmpType('ipv6', 137, 'nd-redirect'),
};

function chains({ group, bridge }: DoorNode): Chain[] {
  return [
    {
      // Before anything else sees the packet: fragments are not put together yet, conntrack does not know it.
      name: 'door',
      hook: { type: 'filter', hook: 'prerouting', priority: beforeDefrag, policy: 'accept' },
      rules: [
        rule(iifIsLoopback, accept),
        rule(iifInGroup(group), goto('door-pod')),
        ...(bridge === undefined ? [] : [rule(iifIs(bridge), goto('door-pod'))]),
        // Whatever route_localnet says. The kernel itself refuses ::1 (ip6_rcv_core).
        rule(isWithin('daddr', loopback), ...refuse('door-loopback')),
        rule(isWithin('saddr', loopback), ...refuse('door-loopback')),
        rule(icmpType('ipv4', 5, 'redirect'), goto('door-redirect')),
      ],
    },
    {
      // Of a neighbour of the node: none of it is for a pod, whose only neighbour is the node. (IPv6 itself lets no redirect through a router: RFC 4861, 8.1.)
      name: 'door-redirect',
      rules: [rule(addressIsLocal('daddr'), accept), rule(...refuse('door-redirect'))],
    },
    {
      name: 'door-pod',
      rules: [
        ...families.map((family) => rule(isIn(concat(iifname, etherSaddr, saddr(family)), guests(family)), goto(own(family)))),
        // Duplicate address detection: who has the address answers, and nobody learns from the question.
        rule(isWithin('saddr', unspecified), discovery.neighbourSolicitation, accept),
        rule(isWithin('daddr', membership), drop),
        rule(...refuse('door-source')),
      ],
    },
    {
      name: own('ipv4'),
      rules: [
        rule(isWithin('daddr', loopback), ...refuse('door-loopback')),
        rule(daddrFrom(firstMulticast), ...refuse('door-multicast')),
        rule(protocol('tcp'), accept),
        rule(icmpType('ipv4', 5, 'redirect'), ...refuse('door-redirect')),
        rule(udpDport(68), ...refuse('door-dhcp')),
      ],
    },
    {
      name: own('ipv6'),
      rules: [
        rule(protocol('ipv6-icmp'), goto('door-discovery')),
        rule(isWithin('daddr', multicast), ...refuse('door-multicast')),
        // For neighbour discovery only.
        rule(isWithin('saddr', linkLocal), ...refuse('door-source')),
        rule(udpDport(546), ...refuse('door-dhcp')),
      ],
    },
    {
      name: 'door-discovery',
      rules: [
        rule(discovery.neighbourSolicitation, accept),
        rule(discovery.routerSolicitation, ...refuse('door-router')),
        rule(discovery.routerAdvertisement, ...refuse('door-router')),
        rule(discovery.redirect, ...refuse('door-redirect')),
        // Nobody asks: the node's entries of pods are permanent. With accept_untracked_na it would make one for whatever address is named.
        rule(discovery.neighbourAdvertisement, ...refuse('door-neighbour')),
        rule(isWithin('daddr', membership), drop),
        rule(isWithin('daddr', multicast), ...refuse('door-multicast')),
        rule(isWithin('saddr', linkLocal), ...refuse('door-source')),
      ],
    },
  ];
}

/**
 * Who asks by ARP is remembered by the kernel, with any sender that it has a way to: without this a pod could fill the neighbour table of the whole node
 * (gc_thresh3) where rp_filter does not see to it (`all` or the link's own is 2).
 */
const arpChains = ({ group, bridge }: DoorNode): Chain[] => [
  {
    name: 'door',
    hook: { type: 'filter', hook: 'input', priority: 0, policy: 'accept' },
    rules: [rule(iifInGroup(group), goto('door-pod')), ...(bridge === undefined ? [] : [rule(iifIs(bridge), goto('door-pod'))])],
  },
  {
    name: 'door-pod',
    rules: [
      rule(isIn(concat(iifname, arpSenderMac, arpSenderAddress), arpGuests), accept),
      rule(isArpProbe, accept),
      rule(...refuse('door-arp')),
    ],
  },
];

const arpGuests = 'door-guests4';

/** A table of its own: sets belong to one table, and a table sees one kind of packets. */
function arpDoor(node: DoorNode): Item[] {
  const of = { family: 'arp' } as const;
  return [
    { kind: 'nft-table', ...of, name: tableName },
    { kind: 'nft-counter', ...of, name: 'door-arp' },
    { kind: 'nft-set', ...of, ...sets[0]!, name: arpGuests },
    ...arpChains(node).map((chain): Item => ({ kind: 'nft-chain', ...of, ...chain })),
  ];
}

/** Frames of pods that came to the bridge's ports, and those that it let up to the node; what is missing it dropped. */
export const bridgeCounters = { came: 'door-frames-came', passed: 'door-frames-passed' } as const;

/**
 * A locked port drops frames with another MAC without a word, so those before and behind it are counted. All ports are isolated: a frame that goes nowhere else
 * than to another port is dropped as well. In the order that they are to be read in: what is on its way meanwhile is not taken for dropped.
 */
function bridgeDoor({ group }: DoorNode): Item[] {
  const of = { family: 'bridge' } as const;
  const count = (name: string, hook: 'prerouting' | 'input', counter: string): Chain => ({
    name,
    hook: { type: 'filter', hook, priority: 0, policy: 'accept' },
    rules: [rule(toBridgeItself, accept), rule(iifInGroup(group), countIn(counter))],
  });
  return [
    { kind: 'nft-table', ...of, name: tableName },
    ...Object.values(bridgeCounters).map((name): Item => ({ kind: 'nft-counter', ...of, name })),
    { kind: 'nft-chain', ...of, ...count('came', 'prerouting', bridgeCounters.came) },
    { kind: 'nft-chain', ...of, ...count('passed', 'input', bridgeCounters.passed) },
  ];
}

/** What the node holds whatever pods there are: who is in none of the sets does not come in. Part of podnet's own tables. */
export function planDoor(node: DoorNode): Item[] {
  const counters = Object.keys(reasons).filter((name) => name !== 'door-arp');
  return [
    ...counters.map((name): Item => ({ kind: 'nft-counter', name })),
    ...sets.map((set): Item => ({ kind: 'nft-set', ...set })),
    ...chains(node).map((chain): Item => ({ kind: 'nft-chain', ...chain })),
    ...(node.arp ? arpDoor(node) : []),
    ...(node.bridge !== undefined && node.frames ? bridgeDoor(node) : []),
  ];
}

/** One pod's elements. @param arp as in DoorNode */
export function planGuest({ link, mac, addresses }: Guest, arp: boolean): NftElement[] {
  const ipv6 = addresses.some(({ family }) => family === 'ipv6') ? [linkLocalOf(mac)] : [];
  const key = (address: IpAddr): string => `"${link}" . ${mac} . ${address}`;
  const asks = arp ? addresses.filter(({ family }) => family === 'ipv4') : [];
  return [
    ...[...addresses, ...ipv6].map(
      (address): NftElement => ({ kind: 'nft-element', set: guests(address.family), key: key(address) }),
    ),
    ...asks.map((address): NftElement => ({ kind: 'nft-element', family: 'arp', set: arpGuests, key: key(address) })),
  ];
}

/** The address that a link gives itself: fe80:: and the modified EUI-64 of its MAC (RFC 4291, appendix A). */
export function linkLocalOf(mac: Mac): IpAddr {
  const [a, b, c, d, e, f] = mac.bytes as unknown as [number, number, number, number, number, number];
  return IpAddr.fromBytes(Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]));
}
