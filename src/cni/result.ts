import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { CniError, cniCode } from './errors.ts';
import { shown } from './shown.ts';
import { atLeast, type CniVersion } from './version.ts';

/** The success result of ADD in the form of CNI 1.1.0; older versions are made from it by `formatResult`. */
export interface Result {
  interfaces: ResultInterface[];
  ips: ResultIp[];
  routes: ResultRoute[];
  dns: Dns;
}

export interface ResultInterface {
  name: string;
  mac?: string;
  /** since 1.1.0 */
  mtu?: number;
  /** Path of the network namespace; absent for an interface of the host. */
  sandbox?: string;
  /** since 1.1.0 */
  socketPath?: string;
  /** since 1.1.0 */
  pciID?: string;
}

export interface ResultIp {
  /** ADDRESS/LENGTH; host bits are set. */
  address: string;
  gateway?: string;
  /** Index into `interfaces`. */
  interface?: number;
}

/** mtu and the rest since 1.1.0 */
export interface ResultRoute {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/** The JSON that a runtime expects which asked for `version` (CNI11). */
export function formatResult(result: Result, version: CniVersion): Record<string, unknown> {
  const current = atLeast(version, '1.1.0');
  return {
    cniVersion: version,
    interfaces: result.interfaces.map(({ name, mac, sandbox, ...newer }) => ({ name, mac, sandbox, ...(current ? newer : {}) })),
    ips: result.ips.map((ip) => (atLeast(version, '1.0.0') ? ip : { version: ip.address.includes(':') ? '6' : '4', ...ip })),
    routes: result.routes.map(({ dst, gw, ...newer }) => ({ dst, gw, ...(current ? newer : {}) })),
    dns: result.dns,
  };
}

/** Reads a prevResult of any supported version. @throws CniError 6 */
export function parseResult(value: unknown): Result {
  const fault = (what: string): CniError => new CniError(cniCode.decode, `prevResult: ${what}`);
  const record = (entry: unknown, what: string): Record<string, unknown> => {
    if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) return entry as Record<string, unknown>;
    throw fault(`${what} is ${shown(entry)}: expected an object`);
  };
  const list = (entry: unknown, what: string): Record<string, unknown>[] => {
    if (entry === undefined || entry === null) return [];
    if (!Array.isArray(entry)) throw fault(`${what} is ${shown(entry)}: expected a list`);
    return entry.map((item, i) => record(item, `${what}[${i}]`));
  };
  const result = record(value, 'it');
  return {
    interfaces: list(result.interfaces, 'interfaces').map((entry, i) => {
      if (typeof entry.name !== 'string') throw fault(`interfaces[${i}].name is ${shown(entry.name)}`);
      return entry as unknown as ResultInterface;
    }),
    ips: list(result.ips, 'ips').map((entry, i) => {
      const { version: _, ...ip } = entry;
      if (!isAddressWithLength(ip.address))
        throw fault(`ips[${i}].address is ${shown(ip.address)}: expected ADDRESS/LENGTH`);
      return ip as unknown as ResultIp;
    }),
    routes: list(result.routes, 'routes').map((entry, i) => {
      if (typeof entry.dst !== 'string') throw fault(`routes[${i}].dst is ${shown(entry.dst)}`);
      return entry as unknown as ResultRoute;
    }),
    dns: result.dns === undefined || result.dns === null ? {} : (record(result.dns, 'dns') as Dns),
  };
}

/** What a plugin earlier in the chain made, then what podnet made (CNI5). */
export function mergeResults(previous: Result, own: Result): Result {
  const shift = previous.interfaces.length;
  return {
    interfaces: [...previous.interfaces, ...own.interfaces],
    ips: [
      ...previous.ips,
      ...own.ips.map((ip) => (ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift })),
    ],
    routes: [...previous.routes, ...own.routes],
    dns: { ...previous.dns, ...own.dns },
  };
}

function isAddressWithLength(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const [address, length, ...more] = value.split('/');
  const parsed = IpAddr.tryParse(address ?? '');
  if (!parsed || length === undefined || more.length > 0 || !/^\d{1,3}$/.test(length)) return false;
  return Number(length) <= Prefix.host(parsed).length;
}
