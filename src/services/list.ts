import { backendsOf, chooseBackends, elsewhere } from './endpoints.ts';
import { ignoredOf, noDataPathOf } from './explain.ts';
import { type ServiceFacts, serviceKey, viewOf } from './service.ts';

/** A line about one Service, as one node serves it. */
export interface ListedService {
  namespace: string;
  name: string;
  type: string;
  /** ClusterIPs, then addresses of load balancers and externalIPs that this node takes. */
  addresses: string[];
  /** `80/TCP`, or `80:30080/TCP` with its node port; each once. */
  ports: string[];
  /** Endpoints of its first port, of all families: how many clients here may be sent to, of how many there are. */
  endpoints: { usable: number; total: number };
  noDataPath?: string;
  /** What clients meet that they may not expect, in words. */
  problems: string[];
}

export function listService(facts: ServiceFacts): ListedService {
  const { service, slices, node, silent } = facts;
  const { metadata, spec } = service;
  const view = viewOf(service, node);
  const noDataPath = noDataPathOf(facts, view);
  const problems = new Set(ignoredOf(facts).map(({ address, why }) => `${address} is not taken: ${why}`));
  const endpoints = { usable: 0, total: 0 };
  const first = view.ports[0];
  for (const port of view.ports) {
    const backends = backendsOf(slices, port.name, port.protocol, port.family, node);
    const { cluster, local } = chooseBackends(silent?.has(serviceKey(port)) ? elsewhere(backends) : backends, node);
    const family = view.clusterIps.length > 1 ? ` by ${port.family === 'ipv4' ? 'IPv4' : 'IPv6'}` : '';
    const what = `${port.port}/${port.protocol.toUpperCase()}${family}`;
    if (cluster.length + local.length === 0) problems.add(`${what} is refused: no endpoint can be used`);
    else if (view.internalLocal && local.length === 0)
      problems.add(`${what} is dropped: internalTrafficPolicy is Local, and no endpoint is on this node`);
    if (port.name !== first?.name || port.protocol !== first.protocol || port.port !== first.port) continue;
    endpoints.usable += (view.internalLocal ? local : cluster).length;
    endpoints.total += backends.length;
  }
  const addresses = [
    ...view.clusterIps,
    ...new Map(view.ports.flatMap(({ externalIps }) => externalIps.map((one) => [`${one}`, one]))).values(),
  ];
  const ports = (spec?.ports ?? []).map(({ name = '', port, protocol = 'TCP' }) => {
    const { nodePort } =
      view.ports.find((one) => one.name === name && one.port === port && one.protocol === protocol.toLowerCase()) ?? {};
    return `${port}${nodePort === undefined ? '' : `:${nodePort}`}/${protocol}`;
  });
  return {
    ...{ namespace: metadata.namespace ?? 'default', name: metadata.name ?? '', type: spec?.type ?? 'ClusterIP' },
    ...{ addresses: addresses.map(String), ports: [...new Set(ports)], endpoints },
    ...(noDataPath === undefined ? {} : { noDataPath }),
    problems: [...problems],
  };
}
