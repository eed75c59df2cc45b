import { isNotFound } from '../../kernel/errors.ts';
import { Fd } from '../../kernel/fd.ts';
import { NetNs } from '../../kernel/netns.ts';
import { listenTcp } from '../../kernel/sockets.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import { podGroup } from '../../links/pod-link.ts';
import { type Family, IpAddr } from '../../net/ip.ts';
import { bridge, join, local, namespaceAt, route } from '../links.ts';
import { layouts, serverPort } from './cluster.ts';

/** How pods hang on their node. */
export interface Attachment {
  family: Family;
  /** The bridge whose ports they are; else each link is routed. */
  bridge?: string;
}

/** Clients, their node and servers in three namespaces; clients and servers are behind a link each, both of them links of pods. */
export class Pods implements Disposable {
  readonly client: NetNs;
  readonly node: NetNs;
  readonly server: NetNs;
  readonly listener: Fd;
  readonly #all: NetNs[] = [];

  /** @param path the namespaces' files begin with it */
  constructor(path: string, { family, bridge: bridgeName }: Attachment = { family: 'ipv4' }) {
    const make = (name: string): NetNs => {
      const ns = namespaceAt(`${path}-${name}`);
      this.#all.push(ns);
      return ns;
    };
    [this.client, this.node, this.server] = [make('client'), make('node'), make('server')];
    const { client, node, server } = this;
    const { clientLink, serverLink, clientCidr, serverCidr, silentCidr, all } = layouts[family];
    const ofNode = (address: string): string | undefined => (bridgeName === undefined ? address : undefined);
    join(node, 'client', ofNode(clientLink[0]), client, clientLink[1], podGroup);
    join(node, 'server', ofNode(serverLink[0]), server, serverLink[1], podGroup);
    if (bridgeName !== undefined) {
      bridge(node, bridgeName, ['client', 'server'], [clientLink[0], serverLink[0]]);
      // As the room `links` has it: what the bridge forwards is no business of IP, and nobody is told of a shorter way, which isolated ports have not.
      for (const hook of ['iptables', 'ip6tables']) setIfThere(node, `net/bridge/bridge-nf-call-${hook}`, '0');
      for (const one of ['all', bridgeName]) writeSysctl(node, `net/ipv4/conf/${one}/send_redirects`, '0');
    }
    writeSysctl(node, 'net/ipv4/ip_forward', '1');
    writeSysctl(node, 'net/ipv6/conf/all/forwarding', '1');
    route(node, clientCidr, bridgeName ?? 'client', clientLink[1]);
    for (const cidr of [serverCidr, silentCidr]) route(node, cidr, bridgeName ?? 'server', serverLink[1]);
    route(client, all, 'node', clientLink[0]);
    route(server, all, 'node', serverLink[0]);
    // IPv6 binds to no address that only a route makes one's own.
    for (const ns of [client, server]) writeSysctl(ns, 'net/ipv6/ip_nonlocal_bind', '1');
    local(client, clientCidr);
    local(server, serverCidr);
    this.listener = Fd.own(listenTcp(server, IpAddr.unspecified(family), serverPort, { backlog: 4096 }), 'the servers');
  }

  [Symbol.dispose](): void {
    this.listener.close();
    for (const ns of this.#all) {
      ns[Symbol.dispose]();
      NetNs.remove(ns.name);
    }
  }
}

/** A kernel without bridge netfilter behaves as wanted. */
function setIfThere(ns: NetNs, name: string, value: string): void {
  try {
    writeSysctl(ns, name, value);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
