import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { CniError, cniCode } from './errors.ts';
import type { Dns } from './result.ts';

/** What a runtime asks for by the capabilities `ips`, `mac` and `dns` (CNI13). */
export interface Wishes {
  /** At most one of each family. */
  ips: readonly IpAddr[];
  mac: Mac | undefined;
  dns: Dns | undefined;
}

/** @throws CniError 7 with the key and the value seen */
export function parseWishes(runtimeConfig: Readonly<Record<string, unknown>> | undefined): Wishes {
  const { ips, mac, dns } = runtimeConfig ?? {};
  return { ips: parseIps(ips), mac: parseMac(mac), dns: parseDns(dns) };
}

const fault = (key: string, value: unknown, expected: string, cause?: unknown): CniError =>
  new CniError(cniCode.invalidConfig, `runtimeConfig.${key} is ${JSON.stringify(value)}: expected ${expected}`, undefined, {
    cause,
  });

/** Addresses, with a prefix length or without: which one a pod's address has is not the runtime's choice. */
function parseIps(value: unknown): IpAddr[] {
  const ips = texts('ips', value).map((text) => {
    const address = IpAddr.tryParse(text.replace(/\/\d{1,3}$/, ''));
    if (!address) throw fault('ips', value, 'a list of addresses');
    return address;
  });
  if (new Set(ips.map(({ family }) => family)).size < ips.length) throw fault('ips', value, 'at most one address of each family');
  return ips;
}

function parseMac(value: unknown): Mac | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const expected = 'the MAC address of one station, e.g. 0a:58:0a:f4:01:07';
  if (typeof value !== 'string') throw fault('mac', value, expected);
  let mac: Mac;
  try {
    mac = Mac.parse(value);
  } catch (cause) {
    throw fault('mac', value, expected, cause);
  }
  const { bytes } = mac;
  // The lowest bit of the first byte means a group of stations.
  if ((bytes[0]! & 1) !== 0 || bytes.every((byte) => byte === 0)) throw fault('mac', value, expected);
  return mac;
}

/** The capability has other names than the result: servers and searches. */
function parseDns(value: unknown): Dns | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value))
    throw fault('dns', value, 'an object with servers, searches and options');
  const { servers, searches, options } = value as Record<string, unknown>;
  const dns: Dns = {};
  if (servers !== undefined) dns.nameservers = texts('dns.servers', servers);
  if (searches !== undefined) dns.search = texts('dns.searches', searches);
  if (options !== undefined) dns.options = texts('dns.options', options);
  return Object.keys(dns).length === 0 ? undefined : dns;
}

function texts(key: string, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value as string[];
  throw fault(key, value, 'a list of texts');
}
