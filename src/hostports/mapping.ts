import { type Family, IpAddr } from '../net/ip.ts';

export const protocols = ['tcp', 'udp', 'sctp'] as const;
export type Protocol = (typeof protocols)[number];

/** A port of the node that leads to a port of one pod (CRI10). */
export interface PortMapping {
  protocol: Protocol;
  /** Address of the node; `0.0.0.0` and `::` mean all of their family, undefined all of every family that the pod has. */
  hostIp?: IpAddr;
  hostPort: number;
  containerPort: number;
}

/** Whether it is about packets of this family. */
export const isOfFamily = ({ hostIp }: PortMapping, family: Family): boolean => hostIp === undefined || hostIp.family === family;

/** The one address that it is for; undefined when it is for all. */
export const specificAddress = ({ hostIp }: PortMapping): IpAddr | undefined => (hostIp?.isUnspecified ? undefined : hostIp);

/** What it takes of the node, for people: `192.0.2.1:8080/udp`, `8080/tcp`. */
export function hostSide({ protocol, hostIp, hostPort }: PortMapping): string {
  const address = hostIp === undefined ? '' : hostIp.family === 'ipv4' ? `${hostIp}:` : `[${hostIp}]:`;
  return `${address}${hostPort}/${protocol}`;
}

/** `192.0.2.1:8080:80/tcp`, `[2001:db8::1]:53:53/udp`, `8080:80/tcp`, joined by commas: how a lease keeps them. */
export const formatMappings = (mappings: readonly PortMapping[]): string =>
  mappings.map((mapping) => hostSide(mapping).replace('/', `:${mapping.containerPort}/`)).join();

const pattern = /^(?:(\d[\d.]*|\[[^\]]+\]):)?(\d+):(\d+)\/(tcp|udp|sctp)$/;

/** What `formatMappings` wrote. @throws SyntaxError */
export function parseMappings(text: string): PortMapping[] {
  if (text === '') return [];
  return text.split(',').map((part) => {
    const [, address, hostPort, containerPort, protocol] = pattern.exec(part) ?? [];
    if (protocol === undefined) throw new SyntaxError(`"${part}" is not a host port: expected [ADDRESS:]HOSTPORT:PORT/PROTOCOL`);
    const ports = { hostPort: Number(hostPort), containerPort: Number(containerPort) };
    const mapping = { protocol: protocol as Protocol, ...ports };
    return address === undefined ? mapping : { ...mapping, hostIp: IpAddr.parse(address.replace(/^\[|\]$/g, '')) };
  });
}

/**
 * Whether two pods of one node cannot have both, as kube-scheduler has it (NodePorts): same protocol and port, and the same address or one of them for all.
 * @param families that both pods have
 */
export function collide(a: PortMapping, b: PortMapping, families: readonly Family[]): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (!families.some((family) => isOfFamily(a, family) && isOfFamily(b, family))) return false;
  const [one, other] = [specificAddress(a), specificAddress(b)];
  return !one || !other || one.equals(other);
}
