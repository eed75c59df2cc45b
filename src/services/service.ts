import type { EndpointSlice, Service } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import type { Prefix } from '../net/prefix.ts';
import { externalAddressesOf } from './external.ts';
import { type Protocol, protocols } from './names.ts';
import type { ServiceNode } from './node.ts';

/** One port of a Service in one family: what clients connect to. */
export interface ServicePortView {
  /** `web` or '' */
  name: string;
  family: Family;
  protocol: Protocol;
  clusterIp: IpAddr;
  port: number;
  nodePort: number | undefined;
  /** Load balancer addresses and externalIPs, of this family. */
  externalIps: readonly IpAddr[];
}

/** What the data path wants to know of a Service. */
export interface ServiceView {
  ports: readonly ServicePortView[];
  clusterIps: readonly IpAddr[];
  /** Addresses of its load balancer, of any family, and whom they are for: everybody when undefined. */
  loadBalancerIps: readonly IpAddr[];
  sources: readonly Prefix[] | undefined;
  internalLocal: boolean;
  externalLocal: boolean;
  /** Connections of one client go to one endpoint, until it made none for so long. */
  affinitySeconds: number | undefined;
}

/** What one Service is planned from. */
export interface ServiceFacts {
  service: Service;
  slices: readonly EndpointSlice[];
  node: ServiceNode;
  /** Service ports that this node would answer itself, and does not now: its own endpoint is none while there are others. */
  silent?: ReadonlySet<string>;
}

const none: ServiceView = {
  ...{ ports: [], clusterIps: [], loadBalancerIps: [], sources: undefined },
  ...{ internalLocal: false, externalLocal: false, affinitySeconds: undefined },
};

/** The label by which another proxy takes a Service, and the one that a headless Service's copies carry (SA20). */
const ignoredLabels = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];

const toProtocol = (text: string | undefined): Protocol | undefined =>
  protocols.find((name) => name === (text ?? 'TCP').toLowerCase());

/** Headless Services, ExternalNames and Services of other proxies have no data path. */
export function viewOf(service: Service, node: ServiceNode): ServiceView {
  const { metadata, spec } = service;
  if (!spec || spec.type === 'ExternalName' || ignoredLabels.some((label) => metadata.labels?.[label] !== undefined)) return none;
  const texts = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? ''];
  const clusterIps = texts.map((text) => IpAddr.tryParse(text)).filter((address) => address !== undefined);
  if (clusterIps.length === 0) return none;
  const hasNodePorts = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const external = externalAddressesOf(service, node);
  const ports = clusterIps.flatMap((clusterIp) =>
    (spec.ports ?? []).flatMap((port): ServicePortView[] => {
      const protocol = toProtocol(port.protocol);
      if (!protocol) return [];
      const { family } = clusterIp;
      return [
        {
          name: port.name ?? '',
          family,
          protocol,
          clusterIp,
          port: port.port,
          nodePort: hasNodePorts ? port.nodePort || undefined : undefined,
          externalIps: external.all.length === 0 ? none.clusterIps : external.all.filter((address) => address.family === family),
        },
      ];
    }),
  );
  return {
    ports,
    clusterIps,
    loadBalancerIps: external.loadBalancer,
    sources: external.sources,
    internalLocal: spec.internalTrafficPolicy === 'Local',
    externalLocal: (hasNodePorts || external.all.length > 0) && spec.externalTrafficPolicy === 'Local',
    affinitySeconds: affinityOf(service),
  };
}

/** SA14: three hours, unless it says otherwise. */
function affinityOf({ spec }: Service): number | undefined {
  if (spec?.sessionAffinity !== 'ClientIP') return undefined;
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800;
  return Math.min(Math.max(Math.trunc(seconds) || 1, 1), 86_400);
}

/** `10.96.0.1 . tcp . 80`: the key of the map of Services. */
export const serviceKey = ({ clusterIp, protocol, port }: ServicePortView): string => `${clusterIp} . ${protocol} . ${port}`;

/** The same for each external address. */
export const externalKeys = ({ externalIps, protocol, port }: ServicePortView): string[] =>
  externalIps.map((address) => `${address} . ${protocol} . ${port}`);

/** `tcp . 30080` */
export const nodePortKey = ({ protocol, nodePort }: ServicePortView): string => `${protocol} . ${nodePort}`;
