import { addressBits, IpAddr } from '../../net/ip.ts';
import type { Prefix } from '../../net/prefix.ts';
import { isBelow, labelsOf, nameOf, parseName, type WireName } from '../wire/names.ts';

const arpa: Record<IpAddr['family'], WireName> = { ipv4: parseName('in-addr.arpa'), ipv6: parseName('ip6.arpa') };

/** Labels of an address, most significant first: decimal bytes, or nibbles (RFC 1035 3.5, RFC 3596 2.5). */
function digits(address: IpAddr): string[] {
  const bytes = [...address.bytes];
  return address.family === 'ipv4'
    ? bytes.map(String)
    : bytes.flatMap((byte) => [(byte >> 4).toString(16), (byte & 15).toString(16)]);
}

/** `4.3.2.1.in-addr.arpa.` or 32 nibbles under `ip6.arpa.` (D4). */
export const reverseName = (address: IpAddr): WireName => nameOf(digits(address).reverse(), arpa[address.family]);

/** The address whose reverse name this is. @param name in lower case */
export function reverseAddress(name: WireName): IpAddr | undefined {
  const digits = labelsOf(name).slice(0, -2).reverse();
  // What is no address is told by an exception, which takes longer than all else.
  if (!digits.every((digit) => /^(?:\d{1,3}|[a-f])$/.test(digit))) return undefined;
  const text = isBelow(name, arpa.ipv4) ? digits.join('.') : digits.join('').replaceAll(/....(?!$)/g, '$&:');
  const address = IpAddr.tryParse(text);
  return address && reverseName(address) === name ? address : undefined;
}

/**
 * The reverse zones that hold exactly the addresses of a prefix (D20). A prefix between two label boundaries needs several:
 * 10.96.0.0/12 is 96.10.in-addr.arpa to 111.10.in-addr.arpa.
 */
export function reverseZones(prefix: Prefix): WireName[] {
  const perLabel = prefix.family === 'ipv4' ? 8 : 4;
  const kept = Math.ceil(prefix.length / perLabel);
  const step = 1n << BigInt(addressBits(prefix.family) - kept * perLabel);
  return Array.from({ length: Number(prefix.size / step) }, (_, i) => {
    const labels = digits(prefix.at(BigInt(i) * step)).slice(0, kept);
    return nameOf(labels.reverse(), arpa[prefix.family]);
  });
}
