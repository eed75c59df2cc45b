import { isDnsReady, isNodeReady, nodeAddresses } from '../kube/objects.ts';
import { EndpointSlices, Nodes, Services } from '../kube/resources.ts';
import type { Endpoint, Node } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { dnsSlice } from './bootstrap.ts';
import { type Context, controller, type Running } from './context.ts';
import { ensure } from './ensure.ts';

export interface ClusterDnsOptions {
  /** Where podnet's DNS listens on each node's own addresses. */
  port?: number;
}

const serviceKey = 'kube-system/kube-dns';

/** The node's agent says when its DNS is not ready. */
const answers = (node: Node): boolean => isNodeReady(node) && isDnsReady(node);

/** The endpoints of `kube-system/kube-dns` in a cluster whose nodes serve DNS themselves: the addresses of all nodes. */
export function clusterDnsController(context: Context, options: ClusterDnsOptions = {}): Running {
  const { api, informers } = context;
  const nodes = informers.of(Nodes);
  const services = informers.of(Services);
  const running = controller(context, { name: 'cluster-dns', informers: [nodes, services], work: sync });

  async function sync(): Promise<void> {
    const service = services.get(serviceKey);
    if (!service || Object.keys(service.spec?.selector ?? {}).length > 0) return; // real DNS pods: the usual controller's work
    const ordered = nodes.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const family of service.spec?.ipFamilies ?? []) {
      if (family !== 'IPv4' && family !== 'IPv6') continue;
      const endpoints = ordered.flatMap((node): Endpoint[] => {
        const address = nodeAddresses(node)
          .map((text) => IpAddr.tryParse(text))
          .find((ip) => ip && (ip.family === 'ipv4') === (family === 'IPv4'));
        const ready = answers(node);
        const { name, uid } = node.metadata;
        const conditions = { ready, serving: ready, terminating: false };
        return address
          ? [{ addresses: [address.toString()], conditions, nodeName: name, targetRef: { kind: 'Node', name, uid } }]
          : [];
      });
      await ensure(api, EndpointSlices, dnsSlice(family, endpoints, options.port ?? 53));
    }
  }

  const offs = [
    nodes.onChange((changes) => {
      const tells = changes.some(
        ({ type, object, previous }) =>
          type !== 'modified' ||
          answers(object) !== answers(previous!) ||
          nodeAddresses(object).join() !== nodeAddresses(previous!).join(),
      );
      if (tells) running.queue.add(serviceKey);
    }),
    services.onChange((changes) => {
      if (changes.some(({ key }) => key === serviceKey)) running.queue.add(serviceKey);
    }),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
