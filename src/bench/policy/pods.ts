import { Fd } from '../../kernel/fd.ts';
import { NetNs } from '../../kernel/netns.ts';
import { listenTcp } from '../../kernel/sockets.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import { podGroup } from '../../links/pod-link.ts';
import { IpAddr } from '../../net/ip.ts';
import { join, local, namespaceAt, route } from '../links.ts';
import { clientCidr, nodeAddress, serverCidr, serverPort, silentCidr } from './cluster.ts';

/** Clients, their node and servers in three namespaces; clients and servers are behind a link each, both of them links of pods. */
export class Pods implements Disposable {
  readonly client: NetNs;
  readonly node: NetNs;
  readonly server: NetNs;
  readonly listener: Fd;
  readonly #all: NetNs[] = [];

  /** @param path the namespaces' files begin with it */
  constructor(path: string) {
    const make = (name: string): NetNs => {
      const ns = namespaceAt(`${path}-${name}`);
      this.#all.push(ns);
      return ns;
    };
    [this.client, this.node, this.server] = [make('client'), make('node'), make('server')];
    const { client, node, server } = this;
    join(node, 'client', nodeAddress, client, '192.0.2.2', podGroup);
    join(node, 'server', '198.51.100.1', server, '198.51.100.2', podGroup);
    writeSysctl(node, 'net/ipv4/ip_forward', '1');
    route(node, clientCidr, 'client', '192.0.2.2');
    for (const cidr of [serverCidr, silentCidr]) route(node, cidr, 'server', '198.51.100.2');
    route(client, '0.0.0.0/0', 'node', nodeAddress);
    route(server, '0.0.0.0/0', 'node', '198.51.100.1');
    local(client, clientCidr);
    local(server, serverCidr);
    this.listener = Fd.own(listenTcp(server, IpAddr.parse('0.0.0.0'), serverPort, { backlog: 4096 }), 'the servers');
  }

  [Symbol.dispose](): void {
    this.listener.close();
    for (const ns of this.#all) {
      ns[Symbol.dispose]();
      NetNs.remove(ns.name);
    }
  }
}
