import type { Api } from '../kube/api.ts';
import { EndpointSlices, Endpoints, Namespaces, Services } from '../kube/resources.ts';
import type { EndpointAddress, EndpointSlice, Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { managedByLabel, serviceNameLabel } from './endpoints/labels.ts';
import { ensure } from './ensure.ts';

export interface BootstrapOptions {
  /** One for each family, primary first. The first address of the primary is that of `default/kubernetes`. */
  serviceCidrs: readonly string[];
  /** Where nodes and pods reach the API server: addresses of the lab's underlay, at least one of the primary family. */
  apiAddresses: readonly string[];
  apiPort: number;
  /** The cluster DNS addresses, primary family first; the tenth of each Service CIDR unless said. */
  dnsAddresses?: readonly string[];
}

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** The address that pods find in their resolv.conf: the tenth of the Service CIDR. */
const dnsAddressOf = (serviceCidr: string): string => Prefix.parse(serviceCidr).at(10).toString();

const familyName = (address: IpAddr): 'IPv4' | 'IPv6' => (address.family === 'ipv4' ? 'IPv4' : 'IPv6');

/**
 * What stands in every cluster before anybody uses it: the namespaces, `default/kubernetes` with its endpoints, and the Service of the
 * cluster DNS. Running it again changes nothing.
 */
export async function bootstrap(api: Api, options: BootstrapOptions): Promise<void> {
  for (const name of namespaces)
    await ensure(api, Namespaces, { metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } });
  await kubernetesService(api, options);
  await dnsService(api, options);
}

async function kubernetesService(api: Api, options: BootstrapOptions): Promise<void> {
  const clusterIp = Prefix.parse(options.serviceCidrs[0]!).at(1);
  const addresses = options.apiAddresses.map((text) => IpAddr.parse(text)).filter(({ family }) => family === clusterIp.family);
  if (addresses.length === 0)
    throw new RangeError(
      `none of the API's addresses (${options.apiAddresses.join(', ')}) is ${clusterIp.family}, the cluster's primary family`,
    );
  const metadata = { name: 'kubernetes', namespace: 'default' };
  const { apiPort: port } = options;
  await ensure(api, Services, {
    metadata: { ...metadata, labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: clusterIp.toString(),
      clusterIPs: [clusterIp.toString()],
      ipFamilies: [familyName(clusterIp)],
      ipFamilyPolicy: 'SingleStack',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }],
    },
  });
  await ensure(api, Endpoints, {
    metadata: { ...metadata, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [
      {
        addresses: addresses.map((ip): EndpointAddress => ({ ip: ip.toString() })),
        ports: [{ name: 'https', port, protocol: 'TCP' }],
      },
    ],
  });
  await ensure(api, EndpointSlices, {
    metadata: { ...metadata, labels: { [serviceNameLabel]: 'kubernetes' } },
    addressType: familyName(clusterIp),
    endpoints: addresses.map((ip) => ({ addresses: [ip.toString()], conditions: { ready: true } })),
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  });
}

/**
 * `kube-system/kube-dns`. Without a selector: DNS is served by podnet on every node and not by pods, so its endpoints are written by
 * `clusterDnsController`.
 */
async function dnsService(api: Api, options: BootstrapOptions): Promise<void> {
  const addresses = (options.dnsAddresses ?? options.serviceCidrs.map(dnsAddressOf)).map((text) => IpAddr.parse(text));
  const service: Service = {
    metadata: {
      name: 'kube-dns',
      namespace: 'kube-system',
      labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'podnet-dns' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: addresses[0]!.toString(),
      clusterIPs: addresses.map(String),
      ipFamilies: addresses.map(familyName),
      ipFamilyPolicy: addresses.length > 1 ? 'RequireDualStack' : 'SingleStack',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
      ],
    },
  };
  await ensure(api, Services, service);
}

/** The slice of one family that says where DNS is served. */
export function dnsSlice(family: 'IPv4' | 'IPv6', endpoints: EndpointSlice['endpoints'], port: number): EndpointSlice {
  return {
    metadata: {
      name: `kube-dns-${family.toLowerCase()}`,
      namespace: 'kube-system',
      labels: { 'k8s-app': 'kube-dns', [serviceNameLabel]: 'kube-dns', [managedByLabel]: 'podnet' },
    },
    addressType: family,
    endpoints,
    ports: [
      { name: 'dns', port, protocol: 'UDP' },
      { name: 'dns-tcp', port, protocol: 'TCP' },
    ],
  };
}
