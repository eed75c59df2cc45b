import type { IpAddr } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import type { Decoder, Encoder, Infer } from '../../wire/codec.ts';
import { Reader } from '../../wire/reader.ts';
import { Writer } from '../../wire/writer.ts';
import {
  type addrGenMode,
  bridgeAttrs,
  bridgePortAttrs,
  ipv4ConfAttrs,
  linkFlags,
  type newLink,
  vethAttrs,
  vxlanAttrs,
} from './link-tables.ts';

export type AddrGenMode = Infer<typeof addrGenMode>;
/** Settings of a link that are sysctls too, `net/ipv4/conf/<link>/<name>`. Given here they cost no look-up in /proc. */
export type Ipv4Conf = Omit<Infer<typeof ipv4ConfAttrs>, 'unknown'>;
export type BridgeOptions = Omit<Infer<typeof bridgeAttrs>, 'unknown'>;
export type BridgePortOptions = Omit<Infer<typeof bridgePortAttrs>, 'unknown'>;

/** A VXLAN device. `port` is the UDP destination port (IANA: 4789; the kernel's own default is 8472). */
export interface VxlanOptions extends Omit<Infer<typeof vxlanAttrs>, 'unknown' | 'group4' | 'group6' | 'local4' | 'local6'> {
  /** VNI, 24 bits */
  id: number;
  /** Source address of the outer packets; its family is that of the tunnel. */
  local?: IpAddr;
  /** Where frames without a forwarding entry go: an address or a multicast group. */
  remote?: IpAddr;
}

/** A link as the kernel has it. */
export interface Link {
  index: number;
  name: string;
  /** `veth`, `bridge`, `vxlan`, …; absent for loopback and hardware */
  type?: string;
  /** ARPHRD_…: 1 Ethernet, 772 loopback */
  hardwareType: number;
  up: boolean;
  /** There is a peer or a cable, and it is up. */
  carrier: boolean;
  arp: boolean;
  operState?: string;
  mtu: number;
  /** Ethernet-like links only */
  mac?: Mac;
  /** ifindex of the bridge or VRF that it is a port of */
  master?: number;
  /** ifindex of the other end of a veth (in namespace `linkNetnsId`, if given) or of the link below */
  link?: number;
  linkNetnsId?: number;
  group: number;
  alias?: string;
  txQueues?: number;
  rxQueues?: number;
  addrGenMode?: AddrGenMode;
  vxlan?: VxlanOptions;
  bridge?: BridgeOptions;
  /** What the bridge that it belongs to holds of it */
  port?: BridgePortOptions;
}

/** What both ends of a veth pair, and every other link, can be given. */
interface Common {
  name: string;
  /** Chosen ifindex; the kernel takes the next free one when absent. */
  index?: number;
  mtu?: number;
  mac?: Mac;
  group?: number;
  /** Number of transmit and receive queues; 1 by default, since each more costs time (an RCU wait) and memory. */
  queues?: number;
  /** Descriptor of the namespace in which the link is made (NetNs.fd). Never move a link later: that waits for RCU with the rtnl lock held. */
  netNs?: number;
}

/** The other end of a veth. It cannot be brought up at once (ENOTCONN): use `setLink` in its namespace. Its `index` is honoured only if the first end's is given too. */
export type PeerSpec = Common;

interface FirstEnd extends Common {
  up?: boolean;
  master?: number;
}

/** A link to be made. */
export type LinkSpec = FirstEnd &
  (
    | { type: 'veth'; peer: PeerSpec }
    | { type: 'bridge'; bridge?: BridgeOptions }
    | { type: 'vxlan'; vxlan: VxlanOptions }
    | { type: 'dummy' | 'ifb' }
  );

/** What can be changed of a link; absent fields stay as they are. */
export interface LinkChange {
  name?: string;
  up?: boolean;
  arp?: boolean;
  promiscuous?: boolean;
  mtu?: number;
  mac?: Mac;
  group?: number;
  alias?: string;
  /** null takes it off its bridge */
  master?: number | null;
  txQueueLength?: number;
  /** How the kernel makes its IPv6 link-local address; changed before `up`. */
  addrGenMode?: AddrGenMode;
  ipv4?: Ipv4Conf;
  bridge?: BridgeOptions;
  /** Needs `master` to be set, in this change or earlier. */
  port?: BridgePortOptions;
}

type LinkMessage = Parameters<typeof newLink.body.encode>[1];

const scratch = new Writer();

/** Contents of an attribute whose table is not known to the table around it. */
function encoded<Input>(codec: Encoder<Input>, value: Input): Uint8Array {
  codec.encode(scratch.reset(), value);
  return Uint8Array.from(scratch.written);
}

function decoded<T>(codec: Decoder<T>, data: Uint8Array | undefined): T | undefined {
  return data && codec.decode(new Reader(Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
}

function common(spec: Common): LinkMessage {
  const { name, index, mtu, mac, group, queues = 1, netNs } = spec;
  return { index, name, mtu, mac, group, txQueues: queues, rxQueues: queues, netNsFd: netNs };
}

const vxlanData = ({ local, remote, ...rest }: VxlanOptions): Uint8Array =>
  encoded(vxlanAttrs, {
    ...rest,
    local4: local?.family === 'ipv4' ? local : undefined,
    local6: local?.family === 'ipv6' ? local : undefined,
    group4: remote?.family === 'ipv4' ? remote : undefined,
    group6: remote?.family === 'ipv6' ? remote : undefined,
  });

function linkData(spec: LinkSpec): Uint8Array | undefined {
  switch (spec.type) {
    case 'veth':
      return encoded(vethAttrs, { peer: common(spec.peer) });
    case 'bridge':
      return spec.bridge && encoded(bridgeAttrs, spec.bridge);
    case 'vxlan':
      return vxlanData(spec.vxlan);
    default:
      return undefined;
  }
}

/** The RTM_NEWLINK that makes a link. */
export function creationOf(spec: LinkSpec): LinkMessage {
  const up = spec.up ? linkFlags.up : 0;
  return {
    ...common(spec),
    flags: up,
    change: up,
    master: spec.master,
    linkInfo: { kind: spec.type, data: linkData(spec) },
  };
}

/**
 * The RTM_NEWLINKs that change a link: the kernel sets flags before the address generation mode, so that what must be set before the link comes up goes ahead.
 */
export function changesOf(index: number, change: LinkChange): LinkMessage[] {
  const { addrGenMode: mode, ipv4, port, bridge, up, arp, promiscuous, master, ...plain } = change;
  const messages: LinkMessage[] = [];
  if (mode !== undefined || ipv4)
    messages.push({
      index,
      afSpec: {
        ...(mode === undefined ? {} : { inet6: { addrGenMode: mode } }),
        ...(ipv4 ? { inet: { conf: encoded(ipv4ConfAttrs, ipv4) } } : {}),
      },
    });
  let flags = 0;
  let mask = 0;
  const set = (bit: number, value: boolean | undefined): void => {
    if (value === undefined) return;
    mask |= bit;
    if (value) flags |= bit;
  };
  set(linkFlags.up, up);
  set(linkFlags.noarp, arp === undefined ? undefined : !arp);
  set(linkFlags.promiscuous, promiscuous);
  const message: LinkMessage = { index, flags, change: mask, ...plain, master: master === null ? 0 : master };
  if (bridge) message.linkInfo = { kind: 'bridge', data: encoded(bridgeAttrs, bridge) };
  if (mask || bridge || message.master !== undefined || Object.values(plain).some((value) => value !== undefined))
    messages.push(message);
  if (port) messages.push({ index, linkInfo: { portKind: 'bridge', portData: encoded(bridgePortAttrs, port) } });
  return messages;
}

const given = (address: IpAddr | undefined): IpAddr | undefined => (address?.isUnspecified ? undefined : address);

function vxlanOf(data: Uint8Array | undefined): VxlanOptions | undefined {
  const options = decoded(vxlanAttrs, data);
  if (options?.id === undefined) return undefined;
  const { local4, local6, group4, group6, unknown: _, ...rest } = options;
  const vxlan: VxlanOptions = { ...rest, id: options.id };
  const local = given(local4) ?? given(local6);
  const remote = given(group4) ?? given(group6);
  if (local) vxlan.local = local;
  if (remote) vxlan.remote = remote;
  return vxlan;
}

function known<T extends { unknown?: unknown }>(value: T | undefined): Omit<T, 'unknown'> | undefined {
  if (!value) return undefined;
  const { unknown: _, ...rest } = value;
  return rest;
}

/** What an RTM_NEWLINK says. */
export function linkOf(message: Infer<typeof newLink.body>): Link {
  const {
    index,
    name = '',
    mtu = 0,
    hardwareType,
    flags,
    linkInfo,
    afSpec,
    mac,
    operState,
    master,
    link,
    linkNetnsId,
    alias,
  } = message;
  const all: Link = {
    index,
    name,
    type: linkInfo?.kind,
    hardwareType,
    up: (flags & linkFlags.up) !== 0,
    carrier: (flags & linkFlags.lowerUp) !== 0,
    arp: (flags & linkFlags.noarp) === 0,
    operState,
    mtu,
    mac,
    master,
    link,
    linkNetnsId,
    group: message.group ?? 0,
    alias,
    txQueues: message.txQueues,
    rxQueues: message.rxQueues,
    addrGenMode: afSpec?.inet6?.addrGenMode,
    vxlan: linkInfo?.kind === 'vxlan' ? vxlanOf(linkInfo.data) : undefined,
    bridge: linkInfo?.kind === 'bridge' ? known(decoded(bridgeAttrs, linkInfo.data)) : undefined,
    port: linkInfo?.portKind === 'bridge' ? known(decoded(bridgePortAttrs, linkInfo.portData)) : undefined,
  };
  return all;
}
