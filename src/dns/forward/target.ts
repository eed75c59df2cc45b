import { IpAddr } from '../../net/ip.ts';

/** `udp` goes over to TCP by itself where an answer does not fit. `tls`: DNS over TLS (RFC 7858). */
export type Protocol = 'udp' | 'tcp' | 'tls';

/** A resolver as it is configured. */
export interface Upstream {
  address: IpAddr;
  port: number;
  protocol: Protocol;
  /** With TLS: the name that its certificate must have; without one, the certificate must be for the address. */
  serverName?: string;
}

const defaultPorts: Record<Protocol, number> = { udp: 53, tcp: 53, tls: 853 };

/** `1.2.3.4:53`, `tcp://1.2.3.4:53`, `tls://1.2.3.4:853#dns.example`: with the port always, so that equal resolvers have equal texts. */
export function upstreamText({
  address,
  port,
  protocol = 'udp',
  serverName,
}: Omit<Upstream, 'protocol'> & Partial<Upstream>): string {
  const host = address.family === 'ipv4' ? address : `[${address}]`;
  return `${protocol === 'udp' ? '' : `${protocol}://`}${host}:${port}${serverName === undefined ? '' : `#${serverName}`}`;
}

/** @throws SyntaxError */
export function parseUpstream(text: string): Upstream {
  const parts = /^(?:(udp|tcp|tls):\/\/)?(?:\[(.*)\]|([^:#]*|[^#]*:[^#]*:[^#]*))(?::(\d+))?(?:#([A-Za-z0-9._-]{1,253}))?$/.exec(
    text,
  );
  const [, protocol = 'udp', bracketed, plain, portText, serverName] = parts ?? [];
  const port = Number(portText ?? defaultPorts[protocol as Protocol]);
  const host = bracketed ?? plain;
  if (host === undefined || !(port >= 1 && port <= 65535))
    throw new SyntaxError(
      `"${text}" is not a resolver: expected ADDRESS or ADDRESS:PORT, with IPv6 addresses in brackets, after tcp:// or tls:// for these, and #NAME of the certificate behind it for TLS`,
    );
  if (serverName !== undefined && protocol !== 'tls')
    throw new SyntaxError(`"${text}" is not a resolver: a name of a certificate is for tls:// only`);
  return {
    address: IpAddr.parse(host),
    port,
    protocol: protocol as Protocol,
    ...(serverName === undefined ? {} : { serverName }),
  };
}
