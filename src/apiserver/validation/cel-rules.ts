import { addressBits, IpAddr } from '../../net/ip.ts';
import { isJson } from '../object.ts';

/**
 * The rules in CEL of the custom resources that are served, by their text. There is no interpreter: a new release of a definition that brings
 * a new rule fails the test that asks for each.
 */
export const celRules: ReadonlyMap<string, (self: unknown) => boolean> = new Map([
  ['isCIDR(self)', isCidr],
  ['self.start < self.end', (self) => number(self, 'start') < number(self, 'end')],
  ["self.metadata.name == 'default'", (self) => member(member(self, 'metadata'), 'name') === 'default'],
  ...egressWithoutNamedPorts('protocols', 'protocol', 'destinationNamedPort', ['networks', 'nodes', 'domainNames']),
  ...egressWithoutNamedPorts('ports', 'port', 'namedPort', ['networks', 'nodes', 'domainNames']),
  ...egressWithoutNamedPorts('ports', 'port', 'namedPort', ['networks', 'nodes']),
]);

/** Only pods have named ports. */
function egressWithoutNamedPorts(
  list: string,
  item: string,
  name: string,
  peers: readonly string[],
): [string, (self: unknown) => boolean][] {
  const others = peers.map((peer) => `has(peer.${peer})`).join(' || ');
  const text = `!(self.to.exists(peer, ${others}) && has(self.${list}) && self.${list}.exists(${item}, has(${item}.${name})))`;
  const holds = (self: unknown): boolean =>
    !(
      items(self, 'to').some((peer) => peers.some((one) => member(peer, one) !== undefined)) &&
      items(self, list).some((one) => member(one, name) !== undefined)
    );
  return [[text, holds]];
}

/** Of Kubernetes' CEL library: Go's netip.ParsePrefix, bits of the host allowed; no zone, no IPv4 in IPv6. */
function isCidr(self: unknown): boolean {
  const [, address = '', length = ''] = /^([^/%]+)\/(0|[1-9]\d{0,2})$/.exec(String(self)) ?? [];
  const ip = /^::ffff:.*\./i.test(address) ? undefined : IpAddr.tryParse(address);
  return ip !== undefined && Number(length) <= addressBits(ip.family);
}

const member = (of: unknown, name: string): unknown => (isJson(of) && Object.hasOwn(of, name) ? of[name] : undefined);
const items = (of: unknown, name: string): readonly unknown[] => {
  const list = member(of, name);
  return Array.isArray(list) ? list : [];
};
/** Required by the schema: what is absent is told already. */
const number = (of: unknown, name: string): number => {
  const value = member(of, name);
  return typeof value === 'number' ? value : Number.NaN;
};
