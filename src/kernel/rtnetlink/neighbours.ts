import type { IpAddr } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import { ipAddr, mac } from '../../wire/addresses.ts';
import { attrs } from '../../wire/attributes.ts';
import type { Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { be16, pad, s32, u8, u16, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { addressFamily, bits, familyNumber } from './names.ts';

// include/uapi/linux/neighbour.h; host byte order unless the codec says be

/** struct ndmsg */
const ndmsg = struct({ family: u8, _pad: pad(3), index: s32, state: u16, flags: u8, type: u8 });

/** NDA_… */
const neighbourAttrs = attrs({
  dst: [1, ipAddr],
  lladdr: [2, mac],
  vlan: [5, u16],
  /** UDP port of the tunnel's other end */
  port: [6, be16],
  vni: [7, u32],
  via: [8, u32],
  master: [9, u32],
  protocol: [12, u8],
});

export const newNeighbour = message(28, ndmsg, neighbourAttrs); // RTM_NEWNEIGH
export const rtmDelNeighbour = 29;
export const rtmGetNeighbour = 30;

/** NUD_… */
const neighbourState = bits({
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
});
export type NeighbourState = ReturnType<typeof neighbourState.read>[number];

/** NTF_… */
const neighbourFlags = bits({ self: 0x02, master: 0x04, proxy: 0x08, extern: 0x10, sticky: 0x40, router: 0x80 });
export type NeighbourFlag = ReturnType<typeof neighbourFlags.read>[number];
export const ntfProxy = 0x08;

/** An entry of the ARP or ND table. */
export interface Neighbour {
  /** ifindex */
  link: number;
  address: IpAddr;
  /** Absent while it is being resolved, and for proxy entries. */
  mac?: Mac;
  /** `['permanent']` by default */
  state?: readonly NeighbourState[];
  flags?: readonly NeighbourFlag[];
  /** NDA_PROTOCOL: who made the entry; the numbers are those of routes */
  protocol?: number;
}

export type NeighbourKey = Pick<Neighbour, 'link' | 'address'> & { proxy?: boolean };

/** Of a bridge's or VXLAN's forwarding table: frames to `mac` leave by this link, or by its tunnel to `destination`. */
export interface Fdb {
  /** ifindex of the VXLAN device or bridge port */
  link: number;
  /** 00:00:00:00:00:00 on a VXLAN: all that no other entry names (broadcast too) */
  mac: Mac;
  /** VXLAN: the outer destination */
  destination?: IpAddr;
  /** VXLAN: outer UDP port, when it is not the device's */
  port?: number;
  vni?: number;
  vlan?: number;
  /** `['permanent', 'noarp']` by default */
  state?: readonly NeighbourState[];
  /** `['self']` (the device's own table) by default; `['master']` is the bridge's */
  flags?: readonly NeighbourFlag[];
  /** ifindex of the bridge */
  master?: number;
}

type NeighbourMessage = InferInput<typeof newNeighbour.body>;

export const neighbourMessage = (spec: Neighbour): NeighbourMessage => ({
  family: familyNumber(spec.address.family),
  index: spec.link,
  state: neighbourState.write(spec.state ?? ['permanent']),
  flags: neighbourFlags.write(spec.flags ?? []),
  dst: spec.address,
  lladdr: spec.mac,
});

export const neighbourDeletion = ({ link, address, proxy }: NeighbourKey): NeighbourMessage => ({
  family: familyNumber(address.family),
  index: link,
  flags: proxy ? ntfProxy : 0,
  dst: address,
});

export const neighbourOf = (got: Infer<typeof newNeighbour.body>): Neighbour | undefined =>
  got.dst && {
    link: got.index,
    address: got.dst,
    mac: got.lladdr,
    state: neighbourState.read(got.state),
    flags: neighbourFlags.read(got.flags),
    ...(got.protocol === undefined ? {} : { protocol: got.protocol }),
  };

export const fdbMessage = (spec: Fdb): NeighbourMessage => ({
  family: addressFamily.bridge,
  index: spec.link,
  state: neighbourState.write(spec.state ?? ['permanent', 'noarp']),
  flags: neighbourFlags.write(spec.flags ?? ['self']),
  dst: spec.destination,
  lladdr: spec.mac,
  vlan: spec.vlan,
  port: spec.port,
  vni: spec.vni,
});

export const fdbOf = (got: Infer<typeof newNeighbour.body>): Fdb | undefined =>
  got.lladdr && {
    link: got.index,
    mac: got.lladdr,
    destination: got.dst,
    port: got.port,
    vni: got.vni,
    vlan: got.vlan,
    state: neighbourState.read(got.state),
    flags: neighbourFlags.read(got.flags),
    master: got.master,
  };
