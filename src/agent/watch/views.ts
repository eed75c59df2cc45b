import { excludeLabel } from '../../announce/index.ts';
import { isDnsReady, isNodeReady } from '../../kube/objects.ts';
import type { EndpointSlice, EndpointSlicePort, Node, Service, ServicePort } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { nodeOf } from '../../policy/read-world.ts';
import type { PolicyNode } from '../../policy/world.ts';
import { triggerAnnotation } from '../services/programming-latency.ts';
import { Interned } from './interned.ts';
import { PackedSlice } from './packed-slice.ts';

/** What the agent keeps of objects: the caches of a node hold the whole cluster, so every field counts. */

export interface NodeView {
  name: string;
  zone: string | undefined;
  /** InternalIPs as the Node has them. */
  addresses: readonly IpAddr[];
  podCidrs: readonly Prefix[];
  /** metadata.creationTimestamp */
  created?: string | undefined;
  /** Ready, and not taken out of load balancing. */
  balances: boolean;
  /** It is being deleted, or the cluster's autoscaler is about to: load balancers should send it nothing new (SD27). */
  isLeaving?: boolean;
  /** What the Node says of its DNS (dns/condition.ts). */
  dnsReady: boolean;
  /** Texts that are no address or prefix. */
  faults: readonly string[];
  /** The Node as policies see it: its labels, and all addresses in its status. */
  asPeer: PolicyNode;
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
  const ready = isNodeReady({ metadata, spec, status });
  const podCidrs = spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);
  return {
    name: metadata.name ?? '',
    zone: metadata.labels?.[zoneLabel],
    addresses: each(internal, 'InternalIP', IpAddr.parse),
    podCidrs: each(podCidrs, 'podCIDR', Prefix.parse),
    created: metadata.creationTimestamp,
    balances: ready && metadata.deletionTimestamp === undefined && metadata.labels?.[excludeLabel] === undefined,
    ...(metadata.deletionTimestamp || spec?.taints?.some(({ key }) => key === leavingTaint) ? { isLeaving: true } : {}),
    dnsReady: isDnsReady({ metadata, spec, status }),
    faults,
    asPeer: nodeOf({ metadata, status }),
  };
}

/** Whether two versions of a Node mean the same network: the others come each few seconds (heartbeats). */
export const sameNode = (a: NodeView, b: NodeView): boolean =>
  a.zone === b.zone &&
  a.created === b.created &&
  a.addresses.join() === b.addresses.join() &&
  a.podCidrs.join() === b.podCidrs.join();

/** Whether two versions of a Node are the same to policies. */
export const sameAsPeer = ({ asPeer: a }: NodeView, { asPeer: b }: NodeView): boolean =>
  a.addresses.join() === b.addresses.join() && JSON.stringify(a.labels) === JSON.stringify(b.labels);

/** Services of another proxy, and headless ones' copies, are nobody's business here; the server leaves them out (SA20). */
export const servicesWanted = '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless';

const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

export function serviceView({ metadata, spec, status }: Service): Service {
  const { type, clusterIP, clusterIPs, ports, internalTrafficPolicy, externalTrafficPolicy, loadBalancerClass } = spec ?? {};
  const { sessionAffinity, sessionAffinityConfig, externalIPs, loadBalancerSourceRanges, healthCheckNodePort } = spec ?? {};
  const sourceRanges = metadata.annotations?.[sourceRangesAnnotation];
  const ingress = status?.loadBalancer?.ingress?.map(({ ip, ipMode }) => ({ ip, ipMode }));
  const kept: Service['metadata'] = { namespace: namespaceOf(metadata), name: metadata.name };
  if (sourceRanges !== undefined) kept.annotations = { [sourceRangesAnnotation]: sourceRanges };
  const some = ports?.map(({ name, protocol, port, nodePort }) => ({ name, protocol, port, nodePort }));
  // What nearly every Service has stands in the object itself; whatever else follows.
  const view: NonNullable<Service['spec']> = {
    type,
    clusterIP,
    clusterIPs: isSaidAlready(clusterIPs, clusterIP) ? undefined : clusterIPs,
    internalTrafficPolicy,
    externalTrafficPolicy,
    ports: some && servicePorts.of(JSON.stringify(some), some),
  };
  if (loadBalancerClass !== undefined) view.loadBalancerClass = loadBalancerClass;
  if (sessionAffinity === 'ClientIP') Object.assign(view, { sessionAffinity, sessionAffinityConfig });
  if (externalIPs?.length) view.externalIPs = externalIPs;
  if (loadBalancerSourceRanges?.length) view.loadBalancerSourceRanges = loadBalancerSourceRanges;
  if (healthCheckNodePort) view.healthCheckNodePort = healthCheckNodePort;
  // By it policies know cluster DNS.
  if (kept.namespace === 'kube-system' && spec?.selector) view.selector = spec.selector;
  return ingress ? { metadata: kept, spec: view, status: { loadBalancer: { ingress } } } : { metadata: kept, spec: view };
}

const isSaidAlready = (all: readonly string[] | undefined, first: string | undefined): boolean =>
  all?.length === 1 && all[0] === first;

/** Slices of headless Services have no data path. */
export const slicesWanted = '!service.kubernetes.io/headless';

export const serviceNameLabel = 'kubernetes.io/service-name';

export function sliceView({ metadata, addressType, ports, endpoints }: EndpointSlice): EndpointSlice {
  const service = metadata.labels?.[serviceNameLabel];
  const trigger = metadata.annotations?.[triggerAnnotation];
  const kept: EndpointSlice['metadata'] = {
    namespace: namespaceOf(metadata),
    name: metadata.name,
    labels: service === undefined ? undefined : { [serviceNameLabel]: service },
  };
  if (trigger !== undefined) kept.annotations = { [triggerAnnotation]: trigger };
  const some = ports?.map(({ name, protocol, port }) => ({ name, protocol, port }));
  return new PackedSlice(
    { metadata: kept, addressType, ports: some && slicePorts.of(JSON.stringify(some), some) },
    endpoints ?? [],
  );
}

/** Thousands of objects have the same. */
const namespaces = new Interned<string>();
const slicePorts = new Interned<EndpointSlicePort[]>();
const servicePorts = new Interned<ServicePort[]>();

const namespaceOf = ({ namespace }: { namespace?: string }): string | undefined =>
  namespace === undefined ? undefined : namespaces.of(namespace, namespace);
