import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { FieldErrors } from './field-errors.ts';

/** SA19: leading zeros, IPv4-mapped IPv6 and zones are refused. */
export function validateIp(text: string, path: string, errors: FieldErrors): IpAddr | undefined {
  const ip = IpAddr.tryParse(text);
  if (!ip || /^::ffff:/i.test(ip.toString()))
    errors.invalid(path, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else return ip;
  return undefined;
}

/** SA19: host bits must be zero. */
export function validateCidr(text: string, path: string, errors: FieldErrors): Prefix | undefined {
  try {
    return Prefix.parse(text);
  } catch {
    errors.invalid(path, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
    return undefined;
  }
}
