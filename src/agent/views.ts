import { excludeLabel } from '../announce/index.ts';
import { conditionOf } from '../kube/objects.ts';
import type { Endpoint, EndpointConditions, EndpointSlice, Node, Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { triggerAnnotation } from './programming-latency.ts';

/** What the agent keeps of objects: the caches of a node hold the whole cluster, so every field counts. */

export interface NodeView {
  name: string;
  zone: string | undefined;
  /** InternalIPs as the Node has them. */
  addresses: readonly IpAddr[];
  podCidrs: readonly Prefix[];
  /** Ready, and not taken out of load balancing. */
  balances: boolean;
  /** It is being deleted, or the cluster's autoscaler is about to: load balancers should send it nothing new (SD27). */
  isLeaving?: boolean;
  /** Texts that are no address or prefix. */
  faults: readonly string[];
}

const leavingTaint = 'ToBeDeletedByClusterAutoscaler';
const zoneLabel = 'topology.kubernetes.io/zone';

export function nodeView({ metadata, spec, status }: Node): NodeView {
  const faults: string[] = [];
  const each = <T>(texts: readonly string[], what: string, parse: (text: string) => T): T[] =>
    texts.flatMap((text) => {
      try {
        return [parse(text)];
      } catch (error) {
        faults.push(`${what} of node ${metadata.name}: ${(error as Error).message}`);
        return [];
      }
    });
  const internal = (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP').map(({ address }) => address);
  const podCidrs = spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);
  return {
    name: metadata.name ?? '',
    zone: metadata.labels?.[zoneLabel],
    addresses: each(internal, 'InternalIP', IpAddr.parse),
    podCidrs: each(podCidrs, 'podCIDR', Prefix.parse),
    balances:
      conditionOf(status?.conditions, 'Ready')?.status === 'True' &&
      metadata.deletionTimestamp === undefined &&
      metadata.labels?.[excludeLabel] === undefined,
    ...(metadata.deletionTimestamp || spec?.taints?.some(({ key }) => key === leavingTaint) ? { isLeaving: true } : {}),
    faults,
  };
}

/** Whether two versions of a Node mean the same network: the others come each few seconds (heartbeats). */
export const sameNode = (a: NodeView, b: NodeView): boolean =>
  a.zone === b.zone && a.addresses.join() === b.addresses.join() && a.podCidrs.join() === b.podCidrs.join();

/** Services of another proxy, and headless ones' copies, are nobody's business here; the server leaves them out (SA20). */
export const servicesWanted = '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless';

const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

export function serviceView({ metadata, spec, status }: Service): Service {
  const { type, clusterIP, clusterIPs, ports, internalTrafficPolicy, externalTrafficPolicy, loadBalancerClass } = spec ?? {};
  const { sessionAffinity, sessionAffinityConfig, externalIPs, loadBalancerSourceRanges, healthCheckNodePort } = spec ?? {};
  const sourceRanges = metadata.annotations?.[sourceRangesAnnotation];
  const ingress = status?.loadBalancer?.ingress?.map(({ ip, ipMode }) => ({ ip, ipMode }));
  return {
    metadata: {
      ...{ namespace: metadata.namespace, name: metadata.name },
      ...(sourceRanges === undefined ? {} : { annotations: { [sourceRangesAnnotation]: sourceRanges } }),
    },
    ...(ingress ? { status: { loadBalancer: { ingress } } } : {}),
    spec: {
      ...{ type, clusterIP, clusterIPs, internalTrafficPolicy, externalTrafficPolicy },
      ...(loadBalancerClass === undefined ? {} : { loadBalancerClass }),
      ...(sessionAffinity === 'ClientIP' ? { sessionAffinity, sessionAffinityConfig } : {}),
      ...(externalIPs?.length ? { externalIPs } : {}),
      ...(loadBalancerSourceRanges?.length ? { loadBalancerSourceRanges } : {}),
      ...(healthCheckNodePort ? { healthCheckNodePort } : {}),
      ports: ports?.map(({ name, protocol, port, nodePort }) => ({ name, protocol, port, nodePort })),
    },
  };
}

/** Slices of headless Services have no data path. */
export const slicesWanted = '!service.kubernetes.io/headless';

export const serviceNameLabel = 'kubernetes.io/service-name';

export function sliceView({ metadata, addressType, ports, endpoints }: EndpointSlice): EndpointSlice {
  const service = metadata.labels?.[serviceNameLabel];
  const trigger = metadata.annotations?.[triggerAnnotation];
  return {
    metadata: {
      namespace: metadata.namespace,
      name: metadata.name,
      labels: service === undefined ? undefined : { [serviceNameLabel]: service },
      ...(trigger === undefined ? {} : { annotations: { [triggerAnnotation]: trigger } }),
    },
    addressType,
    ports: ports?.map(({ name, protocol, port }) => ({ name, protocol, port })),
    endpoints: (endpoints ?? []).map(endpointView),
  };
}

/** Of all endpoints there are as many names of nodes as nodes, and a few conditions: one of each is kept. */
const nodeNames = new Map<string, string>();
const conditionsKept = new Map<string, EndpointConditions>();

function endpointView({ addresses, nodeName, conditions, hints }: Endpoint): Endpoint {
  const view: Endpoint = { addresses: addresses.length === 1 ? addresses : addresses.slice(0, 1) };
  if (nodeName !== undefined) view.nodeName = kept(nodeNames, nodeName, nodeName);
  if (conditions) {
    const { ready, serving, terminating } = conditions;
    view.conditions = kept(conditionsKept, `${ready} ${serving} ${terminating}`, { ready, serving, terminating });
  }
  if (hints) view.hints = hints;
  return view;
}

function kept<T>(all: Map<string, T>, key: string, value: T): T {
  const before = all.get(key);
  if (before !== undefined) return before;
  // Nodes come and go for ever: what nobody has any more is not kept for ever.
  if (all.size > 20_000) all.clear();
  all.set(key, value);
  return value;
}
