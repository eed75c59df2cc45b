import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { anyCase } from './any-case.ts';
import { type Bandwidth, parseBandwidth } from './bandwidth.ts';
import { CniError, cniCode } from './errors.ts';
import type { Dns } from './result.ts';
import { shown } from './shown.ts';

/** One entry of the capability `portMappings`. */
export interface PortMapping {
  protocol: 'tcp' | 'udp' | 'sctp';
  /** Absent: all addresses of the node. */
  hostIp?: IpAddr;
  hostPort: number;
  containerPort: number;
}

/** What a runtime asks for by the capabilities `ips`, `mac`, `dns`, `portMappings`, `bandwidth` and `io.kubernetes.cri.pod-annotations` (CNI13). */
export interface Wishes {
  /** At most one of each family. */
  ips: readonly IpAddr[];
  mac: Mac | undefined;
  dns: Dns | undefined;
  ports: readonly PortMapping[];
  bandwidth: Bandwidth | undefined;
}

/** @throws CniError 7 with the key and the value seen */
export function parseWishes(runtimeConfig: Readonly<Record<string, unknown>> | undefined): Wishes {
  const { ips, mac, dns, portMappings } = runtimeConfig ?? {};
  return {
    ...{ ips: parseIps(ips), mac: parseMac(mac), dns: parseDns(dns), ports: parsePorts(portMappings) },
    bandwidth: parseBandwidth(runtimeConfig),
  };
}

/**
 * The older way to ask for an address and a MAC, in CNI_ARGS: podman takes it for `--ip`, when it is one, and `--mac-address`. What runtimeConfig says goes
 * before it.
 * @throws CniError 7 with the key and the value seen
 */
export function withArgs(wishes: Wishes, { ip, mac }: { ip?: string; mac?: string }): Wishes {
  const ips = wishes.ips.length === 0 && ip ? parseIps(ip.split(','), 'CNI_ARGS IP') : wishes.ips;
  return { ...wishes, ips, mac: wishes.mac ?? parseMac(mac, 'CNI_ARGS MAC') };
}

const faultAt = (where: string, value: unknown, expected: string, cause?: unknown): CniError =>
  new CniError(cniCode.invalidConfig, `${where} is ${shown(value)}: expected ${expected}`, undefined, { cause });
const fault = (key: string, value: unknown, expected: string): CniError => faultAt(`runtimeConfig.${key}`, value, expected);

/** Addresses, with a prefix length or without: which one a pod's address has is not the runtime's choice. */
function parseIps(value: unknown, where = 'runtimeConfig.ips'): IpAddr[] {
  const ips = texts('ips', value).map((text) => {
    const address = IpAddr.tryParse(text.replace(/\/\d{1,3}$/, ''));
    if (!address) throw faultAt(where, value, 'a list of addresses');
    return address;
  });
  if (new Set(ips.map(({ family }) => family)).size < ips.length)
    throw faultAt(where, value, 'at most one address of each family');
  return ips;
}

function parseMac(value: unknown, where = 'runtimeConfig.mac'): Mac | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const expected = 'the MAC address of one station, e.g. 0a:58:0a:f4:01:07';
  if (typeof value !== 'string') throw faultAt(where, value, expected);
  let mac: Mac;
  try {
    mac = Mac.parse(value);
  } catch (cause) {
    throw faultAt(where, value, expected, cause);
  }
  const { bytes } = mac;
  // The lowest bit of the first byte means a group of stations.
  if ((bytes[0]! & 1) !== 0 || bytes.every((byte) => byte === 0)) throw faultAt(where, value, expected);
  return mac;
}

/** The capability has other names than the result: servers and searches. */
function parseDns(value: unknown): Dns | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value))
    throw fault('dns', value, 'an object with servers, searches and options');
  const { servers, searches, options } = anyCase(value);
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

/** CRI10. An entry without a host port, or with 0, asks for nothing. */
function parsePorts(value: unknown): PortMapping[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw fault('portMappings', value, 'a list of objects');
  return value.flatMap((entry: unknown, i) => {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
      throw fault(`portMappings[${i}]`, entry, 'an object with hostPort, containerPort, protocol and hostIP');
    const { hostPort, containerPort, protocol, hostIP } = anyCase(entry);
    const key = (name: string): string => `portMappings[${i}].${name}`;
    if (hostPort === undefined || hostPort === null || hostPort === 0) return [];
    const mapping: PortMapping = {
      protocol: parseProtocol(key('protocol'), protocol),
      hostPort: parsePort(key('hostPort'), hostPort),
      containerPort: parsePort(key('containerPort'), containerPort),
    };
    if (hostIP === undefined || hostIP === null || hostIP === '') return [mapping];
    const hostIp = typeof hostIP === 'string' ? IpAddr.tryParse(hostIP) : undefined;
    if (!hostIp) throw fault(key('hostIP'), hostIP, 'an address of the node, 0.0.0.0 or ::');
    return [{ ...mapping, hostIp }];
  });
}

function parsePort(key: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  throw fault(key, value, 'a port from 1 to 65535');
}

/** Runtimes write it small or large; absent is TCP, as in a Pod. */
function parseProtocol(key: string, value: unknown): PortMapping['protocol'] {
  if (value === undefined || value === null || value === '') return 'tcp';
  const found = (['tcp', 'udp', 'sctp'] as const).find((name) => typeof value === 'string' && value.toLowerCase() === name);
  if (!found) throw fault(key, value, 'tcp, udp or sctp');
  return found;
}
