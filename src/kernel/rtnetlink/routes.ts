import { type Family, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { ipAddr } from '../../wire/addresses.ts';
import { attrs, nested } from '../../wire/attributes.ts';
import type { Codec, Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { bytes, u8, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { scope } from './addresses.ts';
import { bits, familyNumber, familyOf, named } from './names.ts';

// include/uapi/linux/rtnetlink.h; host byte order

/** RTN_… */
const routeType = named(u8, {
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
});

/** struct rtmsg; table and protocol are one byte, RTA_TABLE has the whole number */
const rtmsg = struct({
  family: u8,
  dstLength: u8,
  srcLength: u8,
  tos: u8,
  shortTable: u8,
  protocol: u8,
  scope,
  type: routeType,
  flags: u32,
});

/** RTA_METRICS: RTAX_… */
const metrics = attrs({ lock: [1, u32], mtu: [2, u32], advmss: [8, u32] });

/** RTA_VIA: a gateway of the other family */
const via: Codec<IpAddr | undefined, IpAddr> = {
  encode: (writer, value) => void writer.u16(familyNumber(value.family)).bytes(value.bytes),
  decode: (reader) => (familyOf(reader.u16()) ? IpAddr.fromBytes(reader.rest()) : undefined),
};

/** RTA_… */
const routeAttrs = attrs({
  dst: [1, ipAddr],
  oif: [4, u32],
  gateway: [5, ipAddr],
  /** lower wins */
  priority: [6, u32],
  prefSource: [7, ipAddr],
  metrics: [8, nested(metrics)],
  multipath: [9, bytes],
  table: [15, u32],
  via: [18, via],
});

export const newRoute = message(24, rtmsg, routeAttrs); // RTM_NEWROUTE
export const rtmDelRoute = 25;
export const rtmGetRoute = 26;

/** RTNH_F_… and RTM_F_… */
const routeFlags = bits({ dead: 1, onlink: 4, linkdown: 16, cloned: 0x200 });

/** RT_TABLE_… */
export const routeTable = { default: 253, main: 254, local: 255 } as const;

/** RTPROT_…; podnet writes 112 on its own routes */
export const routeProtocol = { kernel: 2, boot: 3, static: 4, ra: 9, podnet: 112 } as const;

export type RouteType = Infer<typeof routeType>;

/** A route with one next hop or none. */
export interface Route {
  destination: Prefix;
  /** unicast by default */
  type?: RouteType;
  /** ifindex */
  link?: number;
  /** May be of the other family. */
  gateway?: IpAddr;
  /** The gateway is on the link even if no address of the link says so. */
  onlink?: boolean;
  /** RTA_PREFSRC: source of packets that this node itself sends there */
  source?: IpAddr;
  /** 254 (main) by default */
  table?: number;
  /** Who wrote it, 0-255; 112 (podnet) by default */
  protocol?: number;
  /** IPv4 only; by default what `ip route` chooses */
  scope?: Infer<typeof scope>;
  /** Lower wins; IPv4's default is 0, IPv6's 1024 */
  metric?: number;
  mtu?: number;
  /** The path MTU is not lowered by what routers say. */
  mtuLocked?: boolean;
}

/** A route as the kernel has it. */
export interface ListedRoute extends Route {
  type: RouteType;
  table: number;
  protocol: number;
  /** Its link is down (dead) or has no carrier (linkdown). */
  flags: readonly ReturnType<typeof routeFlags.read>[number][];
  /** It has several next hops, which are not shown. */
  multipath: boolean;
}

/** Names a route to be deleted; fields that are absent match anything. */
export type RouteKey = Pick<Route, 'destination' | 'type' | 'link' | 'gateway' | 'table' | 'protocol' | 'metric' | 'source'>;

const mtuLock = 1 << 2;

function defaultScope({ type = 'unicast', gateway, destination }: Route): Infer<typeof scope> {
  if (destination.family === 'ipv6') return 'global';
  if (type === 'local') return 'host';
  return type === 'unicast' && !gateway ? 'link' : 'global';
}

type RouteMessage = InferInput<typeof newRoute.body>;

function routeKey(route: RouteKey): RouteMessage {
  const { destination, link, gateway, table = routeTable.main, metric, source } = route;
  const family = destination.family;
  return {
    family: familyNumber(family),
    dstLength: destination.length,
    shortTable: table < 256 ? table : 0,
    dst: destination.length > 0 ? destination.address : undefined,
    oif: link,
    gateway: gateway?.family === family ? gateway : undefined,
    via: gateway && gateway.family !== family ? gateway : undefined,
    priority: metric,
    prefSource: source,
    table: table < 256 ? undefined : table,
  };
}

export function routeMessage(route: Route): RouteMessage {
  const { type = 'unicast', onlink, protocol = routeProtocol.podnet, mtu, mtuLocked } = route;
  return {
    ...routeKey(route),
    protocol,
    type,
    scope: route.scope ?? defaultScope(route),
    flags: routeFlags.write(onlink ? ['onlink'] : []),
    metrics: mtu === undefined ? undefined : { mtu, lock: mtuLocked ? mtuLock : undefined },
  };
}

export const routeDeletion = (route: RouteKey): RouteMessage => ({
  ...routeKey(route),
  protocol: route.protocol,
  type: route.type,
  // Any scope.
  scope: 'nowhere',
});

export function routeOf(got: Infer<typeof newRoute.body>): ListedRoute | undefined {
  const family: Family | undefined = familyOf(got.family);
  if (!family) return undefined;
  const flags = routeFlags.read(got.flags);
  return {
    destination: Prefix.of(got.dst ?? IpAddr.unspecified(family), got.dstLength),
    type: got.type,
    link: got.oif,
    gateway: got.gateway ?? got.via,
    onlink: flags.includes('onlink') || undefined,
    source: got.prefSource,
    table: got.table ?? got.shortTable,
    protocol: got.protocol,
    scope: got.scope,
    metric: got.priority,
    mtu: got.metrics?.mtu,
    mtuLocked: (got.metrics?.lock ?? 0) & mtuLock ? true : undefined,
    flags,
    multipath: got.multipath !== undefined,
  };
}
