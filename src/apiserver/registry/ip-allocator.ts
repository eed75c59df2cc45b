import type { IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';

/** SA3: addresses asked for by name are usually low, so the low ones are given out last. */
function lowerBand(size: bigint): bigint {
  const sixteenth = size / 16n;
  const atLeast = sixteenth > 16n ? sixteenth : 16n;
  return atLeast < 256n ? atLeast : 256n;
}

/** Offset of the last address that is given out: never the network address, nor IPv4's broadcast address. */
const lastOffset = ({ family, size }: Prefix): bigint => (family === 'ipv4' ? size - 2n : size - 1n);

/** Whether an address of the prefix may be a Service's. */
export function isUsable(ip: IpAddr, prefix: Prefix): boolean {
  const offset = ip.toBigInt() - prefix.address.toBigInt();
  return prefix.contains(ip) && offset >= 1n && offset <= lastOffset(prefix);
}

/**
 * A free address of a Service CIDR, any of the upper band if there is one, else of the lower (SA3). Pure.
 * @returns undefined when all are used
 */
export function freeAddress(prefix: Prefix, isUsed: (ip: IpAddr) => boolean, random: () => number): IpAddr | undefined {
  const last = lastOffset(prefix);
  const band = lowerBand(prefix.size);
  // A range that is all lower band has no upper one.
  const low = band < last ? band : 0n;
  const find = (from: bigint, to: bigint): IpAddr | undefined => {
    const span = to - from;
    // 53 bits of chance are enough to begin anywhere in 64.
    const start = (BigInt(Math.floor(random() * 2 ** 53)) * span) >> 53n;
    for (let step = 0n; step < span; step++) {
      const ip = prefix.at(from + 1n + ((start + step) % span));
      if (!isUsed(ip)) return ip;
    }
    return undefined;
  };
  return find(low, last) ?? find(0n, low);
}
