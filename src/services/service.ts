import type { Service } from '../kube/types.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import { type Protocol, protocols } from './layout.ts';

/** One port of a Service in one family: what clients connect to. */
export interface ServicePortView {
  /** `web` or '' */
  name: string;
  family: Family;
  protocol: Protocol;
  clusterIp: IpAddr;
  port: number;
  nodePort: number | undefined;
}

/** What the data path wants to know of a Service. */
export interface ServiceView {
  ports: readonly ServicePortView[];
  clusterIps: readonly IpAddr[];
  internalLocal: boolean;
  externalLocal: boolean;
}

const none: ServiceView = { ports: [], clusterIps: [], internalLocal: false, externalLocal: false };

/** The label by which another proxy takes a Service, and the one that a headless Service's copies carry (SA20). */
const ignoredLabels = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];

const toProtocol = (text: string | undefined): Protocol | undefined =>
  protocols.find((name) => name === (text ?? 'TCP').toLowerCase());

/** Headless Services, ExternalNames and Services of other proxies have no data path. */
export function viewOf({ metadata, spec }: Service): ServiceView {
  if (!spec || spec.type === 'ExternalName' || ignoredLabels.some((label) => metadata.labels?.[label] !== undefined)) return none;
  const texts = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? ''];
  const clusterIps = texts.map((text) => IpAddr.tryParse(text)).filter((address) => address !== undefined);
  if (clusterIps.length === 0) return none;
  const hasNodePorts = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const ports = clusterIps.flatMap((clusterIp) =>
    (spec.ports ?? []).flatMap((port): ServicePortView[] => {
      const protocol = toProtocol(port.protocol);
      if (!protocol) return [];
      const nodePort = hasNodePorts ? port.nodePort || undefined : undefined;
      return [{ name: port.name ?? '', family: clusterIp.family, protocol, clusterIp, port: port.port, nodePort }];
    }),
  );
  return {
    ports,
    clusterIps,
    internalLocal: spec.internalTrafficPolicy === 'Local',
    externalLocal: hasNodePorts && spec.externalTrafficPolicy === 'Local',
  };
}

/** `10.96.0.1 . tcp . 80`: the key of the map of Services. */
export const serviceKey = ({ clusterIp, protocol, port }: ServicePortView): string => `${clusterIp} . ${protocol} . ${port}`;

/** `tcp . 30080` */
export const nodePortKey = ({ protocol, nodePort }: ServicePortView): string => `${protocol} . ${nodePort}`;
