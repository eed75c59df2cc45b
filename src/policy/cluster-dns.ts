import type { Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { type PortProtocol, portProtocols } from './model.ts';
import type { PolicyPod } from './world.ts';

/**
 * The cluster DNS address, which each node answers itself, as the pods behind it would be: to policies it is a pod `kube-system/kube-dns` with the labels by
 * which policies find cluster DNS. So what allows egress to the pods of kube-dns allows DNS, and a default deny without it stops DNS, too.
 */
export function clusterDnsPod({ metadata, spec }: Service): PolicyPod {
  const selector = spec?.selector && Object.keys(spec.selector).length > 0 ? spec.selector : undefined;
  const ports = (spec?.ports ?? []).filter(({ protocol = 'TCP' }) => portProtocols.includes(protocol as PortProtocol));
  return {
    ...{ namespace: metadata.namespace ?? 'default', name: metadata.name, labels: selector ?? { 'k8s-app': 'kube-dns' } },
    // Of one family there may be the first alone.
    addresses: (spec?.clusterIPs ?? [spec?.clusterIP ?? '']).flatMap((text) => IpAddr.tryParse(text) ?? []),
    ...{ node: undefined, hostNetwork: false, ended: false },
    ports: ports.map(({ name, port, protocol = 'TCP' }) => ({
      ...(name ? { name } : {}),
      protocol: protocol as PortProtocol,
      number: port,
    })),
  };
}

/** By the labels by which policies find it. */
export const isClusterDns = ({ namespace, labels }: PolicyPod): boolean =>
  namespace === 'kube-system' && labels['k8s-app'] === 'kube-dns';

/** Whether podnet itself answers at the Service's address: it writes that on the kube-dns of its labs. */
export const isAnsweredByNodes = ({ metadata: { labels } }: Service): boolean => labels?.['kubernetes.io/name'] === 'podnet-dns';

/** What nearly every cluster has and few manifests of applications bring along, with the addresses of a lab. */
export const usualClusterDns: Service = {
  metadata: { name: 'kube-dns', namespace: 'kube-system' },
  spec: {
    selector: { 'k8s-app': 'kube-dns' },
    clusterIPs: ['10.96.0.10', 'fd00:10:96::a'],
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ],
  },
};
