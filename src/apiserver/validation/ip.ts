import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { FieldErrors } from './field-errors.ts';

/** How an IPv4-mapped address is printed. */
const mapped = /^::ffff:[\d.]+$/;

/** SA19: leading zeros, IPv4-mapped IPv6 and zones are refused. */
export function validateIp(text: string, path: string, errors: FieldErrors): IpAddr | undefined {
  const ip = IpAddr.tryParse(text);
  if (!ip || mapped.test(ip.toString()))
    errors.invalid(path, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else return ip;
  return undefined;
}

/** SA19: host bits must be zero; prefixes of IPv4-mapped addresses are refused as the addresses are. */
export function validateCidr(text: string, path: string, errors: FieldErrors): Prefix | undefined {
  try {
    const prefix = Prefix.parse(text);
    if (mapped.test(prefix.address.toString())) throw new SyntaxError(`${text} is IPv4-mapped`);
    return prefix;
  } catch {
    errors.invalid(path, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
    return undefined;
  }
}
