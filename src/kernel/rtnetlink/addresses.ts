import { IpAddr } from '../../net/ip.ts';
import { ipAddr } from '../../wire/addresses.ts';
import { attrs } from '../../wire/attributes.ts';
import type { Infer, InferInput } from '../../wire/codec.ts';
import { message } from '../../wire/message.ts';
import { cstring, u8, u32 } from '../../wire/scalars.ts';
import { struct } from '../../wire/struct.ts';
import { bits, familyNumber, named } from './names.ts';

// include/uapi/linux/if_addr.h; host byte order

/** RT_SCOPE_… (rtnetlink.h) */
export const scope = named(u8, { global: 0, site: 200, link: 253, host: 254, nowhere: 255 });

/** struct ifaddrmsg */
const ifaddrmsg = struct({ family: u8, prefixLength: u8, shortFlags: u8, scope, index: u32 });

/** IFA_… */
const addressAttrs = attrs({
  address: [1, ipAddr],
  local: [2, ipAddr],
  label: [3, cstring],
  broadcast: [4, ipAddr],
  /** seconds; 0xffffffff is for ever */
  lifetime: [6, struct({ preferred: u32, valid: u32, created: u32, updated: u32 })],
  flags: [8, u32],
  /** of the prefix route */
  metric: [9, u32],
  protocol: [11, u8],
});

export const newAddress = message(20, ifaddrmsg, addressAttrs); // RTM_NEWADDR
export const rtmDelAddress = 21;
export const rtmGetAddress = 22;

/** IFA_F_… */
const addressFlags = bits({
  secondary: 0x01,
  /** no duplicate address detection: usable at once (IPv6) */
  nodad: 0x02,
  dadfailed: 0x08,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
  /** no route for the prefix comes with it */
  noprefixroute: 0x200,
});

export type AddressFlag = ReturnType<typeof addressFlags.read>[number];

/** An address on a link. */
export interface Address {
  /** ifindex */
  link: number;
  address: IpAddr;
  prefixLength: number;
  /** The other end's address, on a point-to-point link. */
  peer?: IpAddr;
  broadcast?: IpAddr;
  scope?: Infer<typeof scope>;
  flags?: readonly AddressFlag[];
  label?: string;
  /** Metric of the prefix route. */
  metric?: number;
}

/** What tells addresses of a link apart. */
export type AddressKey = Pick<Address, 'link' | 'address' | 'prefixLength' | 'peer'>;

export function addressMessage(spec: Address): InferInput<typeof newAddress.body> {
  const { link, address, prefixLength, peer, broadcast, scope: in_, flags = [], label, metric } = spec;
  return {
    family: familyNumber(address.family),
    prefixLength,
    scope: in_,
    index: link,
    address: peer ?? address,
    local: address,
    broadcast,
    label,
    metric,
    flags: flags.length > 0 ? addressFlags.write(flags) : undefined,
  };
}

export function addressOf(got: Infer<typeof newAddress.body>): Address {
  // IPv6 has `local` on point-to-point addresses only; IPv4 always, and `address` is the peer's.
  const address = got.local ?? got.address ?? IpAddr.unspecified('ipv4');
  const peer = got.address && !got.address.equals(address) ? got.address : undefined;
  return {
    link: got.index,
    address,
    prefixLength: got.prefixLength,
    peer,
    broadcast: got.broadcast,
    scope: got.scope,
    flags: addressFlags.read(got.flags ?? got.shortFlags),
    label: got.label,
    metric: got.metric,
  };
}
