import type { IpAddr } from '../../net/ip.ts';
import { rrType } from '../wire/constants.ts';
import type { WireName } from '../wire/names.ts';

/** One record of a zone. `name` is in lower case; `data` are the bytes of the wire, names inside never compressed. */
export interface ZoneRecord {
  name: WireName;
  type: number;
  /** Seconds. */
  ttl: number;
  data: string;
}

/** Default TTL of CoreDNS' kubernetes plugin (D15). */
export const defaultTtl = 5;

const bytesOf = (address: IpAddr): string => String.fromCharCode(...address.bytes);
const be16 = (value: number): string => String.fromCharCode((value >> 8) & 0xff, value & 0xff);
const be32 = (value: number): string => be16(value >>> 16) + be16(value & 0xffff);

/** A or AAAA, by the address's family. */
export const addressRecord = (name: WireName, address: IpAddr, ttl: number): ZoneRecord => ({
  ...{ name, ttl, data: bytesOf(address) },
  type: address.family === 'ipv4' ? rrType.A : rrType.AAAA,
});

/** RFC 2782. All targets of a name are equal: priority 0 and one weight for all, so that one coming or going changes no other. */
export const srvRecord = (name: WireName, port: number, target: WireName, ttl: number): ZoneRecord => ({
  ...{ name, ttl, type: rrType.SRV },
  data: be16(0) + be16(100) + be16(port) + target,
});

/** Offset of the target's name in the data of an SRV record. */
export const srvTargetAt = 6;

export const ptrRecord = (name: WireName, target: WireName, ttl: number): ZoneRecord => ({
  ...{ name, ttl, type: rrType.PTR, data: target },
});

export const cnameRecord = (name: WireName, target: WireName, ttl: number): ZoneRecord => ({
  ...{ name, ttl, type: rrType.CNAME, data: target },
});

export const nsRecord = (name: WireName, target: WireName, ttl: number): ZoneRecord => ({
  ...{ name, ttl, type: rrType.NS, data: target },
});

/** @param text at most 255 bytes */
export const txtRecord = (name: WireName, text: string, ttl: number): ZoneRecord => ({
  ...{ name, ttl, type: rrType.TXT, data: String.fromCharCode(text.length) + text },
});

/** What follows MNAME and RNAME in SOA: serial, refresh, retry, expire, minimum (the TTL of negative answers, RFC 2308). */
export const soaNumbers = (serial: number, minimum: number): string =>
  be32(serial) + be32(7200) + be32(1800) + be32(86400) + be32(minimum);
