import { Mac } from '../../net/mac.ts';
import { ipv4Addr, ipv6Addr } from '../../wire/addresses.ts';
import { attrs, nested } from '../../wire/attributes.ts';
import type { Codec, Infer } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { be16, bool8, bytes, cstring, pad, s32, u8, u16, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { named } from './names.ts';

// Everything here: include/uapi/linux/if_link.h and rtnetlink.h; host byte order unless the codec says be.

/** Link-layer address: of Ethernet-like links only; left out for tunnels, whose addresses have other lengths. */
const lladdr: Codec<Mac | undefined, Mac> = {
  encode: (writer, value) => void writer.bytes(value.bytes),
  decode: (reader) => (reader.remaining === 6 ? Mac.fromBytes(reader.bytes(6)) : undefined),
};

/** IFLA_VXLAN_… */
export const vxlanAttrs = attrs({
  id: [1, u32],
  /** remote address or multicast group, IPv4 */
  group4: [2, ipv4Addr],
  link: [3, u32],
  local4: [4, ipv4Addr],
  ttl: [5, u8],
  learning: [7, bool8],
  ageing: [8, u32],
  sourcePorts: [10, struct({ low: be16, high: be16 })],
  proxy: [11, bool8],
  l2miss: [13, bool8],
  l3miss: [14, bool8],
  /** UDP destination port */
  port: [15, be16],
  group6: [16, ipv6Addr],
  local6: [17, ipv6Addr],
  udpChecksum: [18, bool8],
  udpZeroChecksum6Tx: [19, bool8],
  udpZeroChecksum6Rx: [20, bool8],
});

/** IFLA_BR_… */
export const bridgeAttrs = attrs({
  forwardDelay: [1, u32],
  ageingTime: [4, u32],
  stpState: [5, u32],
  vlanFiltering: [7, bool8],
  multicastSnooping: [23, bool8],
  netfilterCallIptables: [36, bool8],
  netfilterCallIp6tables: [37, bool8],
  netfilterCallArptables: [38, bool8],
});

/** IFLA_BRPORT_… */
export const bridgePortAttrs = attrs({
  state: [1, u8],
  hairpin: [4, bool8],
  learning: [8, bool8],
  unicastFlood: [9, bool8],
  proxyArp: [10, bool8],
  multicastFlood: [27, bool8],
  broadcastFlood: [30, bool8],
  neighbourSuppress: [32, bool8],
  isolated: [33, bool8],
  /** Frames come in only with a MAC that has a forwarding entry at this port. */
  locked: [39, bool8],
});

/** IFLA_INFO_…; the data's table depends on the kind */
const linkInfoAttrs = attrs({
  kind: [1, cstring],
  data: [2, nested(bytes)],
  portKind: [4, cstring],
  portData: [5, nested(bytes)],
});

/** IN6_ADDR_GEN_MODE_… */
export const addrGenMode = named(u8, { eui64: 0, none: 1, 'stable-privacy': 2, random: 3 });

/** IPV4_DEVCONF_… (include/uapi/linux/ip.h), with the names that they have as sysctls; as the kernel takes them. It lists them as an array. */
export const ipv4ConfAttrs = attrs({
  proxy_arp: [3, u32],
  accept_redirects: [4, u32],
  send_redirects: [6, u32],
  rp_filter: [8, u32],
});

/** IFLA_AF_SPEC: by address family */
const afSpecAttrs = attrs({
  inet: [2, nested(attrs({ conf: [1, bytes] }))],
  inet6: [10, nested(attrs({ addrGenMode: [8, addrGenMode] }, { unknown: 'dropped' }))],
});

/** struct ifinfomsg */
const ifinfomsg = struct({ family: u8, _pad: pad(1), hardwareType: u16, index: s32, flags: u32, change: u32 });

/** What a link is doing. */
const stateAttrs = {
  master: [10, u32],
  operState: [16, named(u8, { unknown: 0, 'not-present': 1, down: 2, 'lower-layer-down': 3, testing: 4, dormant: 5, up: 6 })],
} as const;

/** What events of a link are looked at for. */
const eventAttrs = {
  ...stateAttrs,
  mac: [1, lladdr],
  name: [3, cstring],
  mtu: [4, u32],
  linkInfo: [18, nested(linkInfoAttrs)],
  group: [27, u32],
} as const;

const aliasAttr = { alias: [20, cstring] } as const;

/** IFLA_… */
const linkAttrs = attrs(
  {
    ...eventAttrs,
    ...aliasAttr,
    /** ifindex of the other end (veth) or the link below */
    link: [5, u32],
    txQueueLength: [13, u32],
    afSpec: [26, nested(afSpecAttrs)],
    netNsFd: [28, u32],
    extMask: [29, u32],
    promiscuity: [30, u32],
    txQueues: [31, u32],
    rxQueues: [32, u32],
    carrier: [33, u8],
    /** id, in the reader's namespace, of the namespace that `link` is in */
    linkNetnsId: [37, s32],
  },
  // Statistics and dozens more.
  { unknown: 'dropped' },
);

export const newLink = message(16, ifinfomsg, linkAttrs); // RTM_NEWLINK
/** The same with less of what it says, for those who read many. */
export const newLinkState = message(16, ifinfomsg, attrs({ ...stateAttrs, ...aliasAttr }, { unknown: 'dropped' }));
export const newLinkEvent = message(16, ifinfomsg, attrs(eventAttrs, { unknown: 'dropped' }));
/** What one link is asked for by: few entries are written in no time. */
export const linkQuestion = message(18, ifinfomsg, attrs({ name: [3, cstring], extMask: [29, u32] })); // RTM_GETLINK
export type LinkState = Infer<typeof newLinkState.body>;
/** RTEXT_FILTER_SKIP_STATS (include/uapi/linux/rtnetlink.h), for `extMask` */
export const skipStatistics = 1 << 3;
export const rtmDelLink = 17;
export const rtmGetLink = 18;

/** VETH_INFO_PEER: a whole link message without netlink header (drivers/net/veth.c) */
export const vethAttrs = attrs({ peer: [1, newLink.body] });

/** IFF_… (include/uapi/linux/if.h) */
export const linkFlags = {
  up: 0x1,
  broadcast: 0x2,
  loopback: 0x8,
  noarp: 0x80,
  promiscuous: 0x100,
  multicast: 0x1000,
  lowerUp: 0x10000,
} as const;
