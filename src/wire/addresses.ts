import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import type { Codec } from './codec.ts';

/** An address that fills the data: 4 or 16 bytes, network order. @throws RangeError on another length */
export const ipAddr: Codec<IpAddr> = {
  encode: (writer, value) => void writer.bytes(value.bytes),
  decode: (reader) => IpAddr.fromBytes(reader.rest()),
};

export const ipv4Addr: Codec<IpAddr> = {
  encode(writer, value) {
    if (value.family !== 'ipv4') throw new RangeError(`an IPv4 address is expected, not ${value}`);
    writer.bytes(value.bytes);
  },
  decode: (reader) => IpAddr.fromBytes(reader.bytes(4)),
  empty: IpAddr.unspecified('ipv4'),
};

export const ipv6Addr: Codec<IpAddr> = {
  encode(writer, value) {
    if (value.family !== 'ipv6') throw new RangeError(`an IPv6 address is expected, not ${value}`);
    writer.bytes(value.bytes);
  },
  decode: (reader) => IpAddr.fromBytes(reader.bytes(16)),
  empty: IpAddr.unspecified('ipv6'),
};

/** Six bytes. */
export const mac: Codec<Mac> = {
  encode: (writer, value) => void writer.bytes(value.bytes),
  decode: (reader) => Mac.fromBytes(reader.bytes(6)),
};
