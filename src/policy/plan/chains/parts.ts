import { type Family, families } from '../../../net/ip.ts';

export const perFamily = <T>(fn: (family: Family) => T | T[]): T[] => families.flatMap(fn);
export const numbered = (name: string, family: Family): string => `${name}${family === 'ipv4' ? 4 : 6}`;

/** Protocols that have ports. */
export const withPorts = ['tcp', 'udp', 'sctp'] as const;
/** ICMP errors are judged as the connections that they are about. */
export const errors = { ipv4: 'icmp', ipv6: 'ipv6-icmp' } as const;
