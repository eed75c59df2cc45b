import { IpAddr } from '../net/ip.ts';

/** AF_INET, AF_INET6 (include/linux/socket.h) */
export const afInet = 2;
export const afInet6 = 10;

/** struct sockaddr_in6 is the longest used here; sockaddr_in has 16 bytes. */
export const sockaddrLength = 28;

export interface Endpoint {
  address: IpAddr;
  port: number;
}

/**
 * struct sockaddr_in or sockaddr_in6.
 * @param scope ifindex, for IPv6 link-local addresses
 */
export function sockaddr(address: IpAddr, port: number, scope = 0): Buffer {
  const ipv4 = address.family === 'ipv4';
  const buffer = Buffer.alloc(ipv4 ? 16 : 28);
  // sa_family in host order, little-endian on both architectures; port and address in network order.
  buffer.writeUInt16LE(ipv4 ? afInet : afInet6, 0);
  buffer.writeUInt16BE(port, 2);
  buffer.set(address.bytes, ipv4 ? 4 : 8);
  if (!ipv4) buffer.writeUInt32LE(scope, 24);
  return buffer;
}

/** @returns undefined for another family than IPv4 and IPv6 */
export function endpointOf(buffer: Buffer, at = 0): Endpoint | undefined {
  const family = buffer.readUInt16LE(at);
  if (family !== afInet && family !== afInet6) return undefined;
  const bytes = family === afInet ? buffer.subarray(at + 4, at + 8) : buffer.subarray(at + 8, at + 24);
  return { address: IpAddr.fromBytes(bytes), port: buffer.readUInt16BE(at + 2) };
}
