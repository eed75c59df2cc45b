import { addressBits, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { FieldErrors } from './field-errors.ts';

/** How an IPv4-mapped address is printed. */
const mapped = /^::ffff:[\d.]+$/;
const isMapped = (ip: IpAddr): boolean => mapped.test(ip.toString());

/** As API servers read it before they were strict: numbers of an IPv4 address may begin with zeros. */
function sloppyIp(text: string): IpAddr | undefined {
  const known = IpAddr.tryParse(text);
  return known ?? IpAddr.tryParse(text.replace(/(?:\d+\.){3}\d+$/, (dotted) => dotted.replace(/\b0+(?=\d)/g, '')));
}

/** SA19: leading zeros, IPv4-mapped IPv6 and zones are refused, in the words of apimachinery's validation/ip.go. */
export function validateIp(text: string, path: string, errors: FieldErrors): IpAddr | undefined {
  const ip = sloppyIp(text);
  if (!ip) errors.invalid(path, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else if (!IpAddr.tryParse(text)) errors.invalid(path, text, 'must not have leading 0s');
  else if (isMapped(ip)) errors.invalid(path, text, 'must not be an IPv4-mapped IPv6 address');
  else return ip;
  return undefined;
}

/** SA19: host bits must be zero; prefixes of IPv4-mapped addresses are refused as the addresses are. */
export function validateCidr(text: string, path: string, errors: FieldErrors): Prefix | undefined {
  const [, address = '', digits = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const ip = sloppyIp(address);
  if (!ip || Number(digits) > addressBits(ip.family))
    errors.invalid(path, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
  else if (!IpAddr.tryParse(address) || /^0\d/.test(digits)) errors.invalid(path, text, 'must not have leading 0s in IP or prefix length');
  else if (isMapped(ip)) errors.invalid(path, text, 'must not have an IPv4-mapped IPv6 address');
  else {
    const prefix = Prefix.of(ip, Number(digits));
    if (prefix.address.equals(ip)) return prefix;
    errors.invalid(path, text, 'must not have bits set beyond the prefix length');
  }
  return undefined;
}

const special = (
  [
    ['127.0.0.0/8 ::1/128', 'in the loopback range (127.0.0.0/8, ::1/128)'],
    ['169.254.0.0/16 fe80::/10', 'in the link-local range (169.254.0.0/16, fe80::/10)'],
    ['224.0.0.0/24 ff02::/16', 'in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
  ] as const
).map(([cidrs, what]) => ({ prefixes: cidrs.split(' ').map(Prefix.parse), what }));

/** Addresses that have a meaning on each node alone (SD21), in the words of ValidateNonSpecialIP. */
export function validateNonSpecialIp(ip: IpAddr, text: string, path: string, errors: FieldErrors): void {
  if (ip.isUnspecified) errors.invalid(path, text, `may not be unspecified (${text})`);
  for (const { prefixes, what } of special)
    if (prefixes.some((prefix) => prefix.contains(ip))) errors.invalid(path, text, `may not be ${what}`);
}
