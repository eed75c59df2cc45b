import type { IpAddr } from '../net/ip.ts';

/** ::ffff:0:0/96 (RFC 4291 2.5.5.2): an IPv4 address, whatever it is, in the clothes of an IPv6 one (SA19). */
const isMapped = (address: IpAddr): boolean => address.family === 'ipv6' && address.toBigInt() >> 32n === 0xffffn;

/** Addresses that no Service may lead from or to, whoever wrote them (SD21, CVE-2021-25737). */
export const isSpecial = (address: IpAddr): boolean =>
  address.isUnspecified || address.isLoopback || address.isLinkLocal || address.isMulticast || isMapped(address);
