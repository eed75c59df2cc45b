import { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';

const mapped = Buffer.from('00000000000000000000ffff', 'hex');

/** Whether an address (4 or 16 bytes) is in one of the ranges; IPv4 addresses within IPv6 ones count as what they are. @returns undefined without ranges */
export function deniedBy(ranges: readonly Prefix[]): ((address: Uint8Array) => boolean) | undefined {
  if (ranges.length === 0) return undefined;
  return (bytes) => {
    const plain = bytes.length === 16 && mapped.equals(bytes.subarray(0, 12)) ? bytes.subarray(12) : bytes;
    const address = IpAddr.fromBytes(plain);
    return ranges.some((range) => range.contains(address));
  };
}
