import type { Service, ServicePort } from '../kube/types.ts';
import { Prefix } from '../net/prefix.ts';

/** Where addresses for Services of manifests come from: the Service network of a lab, and Kubernetes' own range of node ports. */
const ranges = { IPv4: Prefix.parse('10.96.0.0/16'), IPv6: Prefix.parse('fd00:10:96::/112') } as const;
const nodePorts = { first: 30_000, count: 2768 };

/**
 * A Service with what an API server gives it: what one of the same name has now, or something made up that follows from its name alone, so that one object more
 * changes no others.
 */
export function completeService(service: Service, before?: Service): Service {
  const { spec = {}, metadata } = service;
  if (spec.type === 'ExternalName') return { ...service, metadata: { namespace: 'default', ...metadata } };
  const name = `${metadata.namespace ?? 'default'}/${metadata.name}`;
  const families = familiesOf(spec, before?.spec);
  const hasNodePorts = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const clusterIPs = clusterIpsOf(spec, before?.spec, families, name);
  const ports = spec.ports?.map((port) => completePort(port, hasNodePorts ? { name, before: before?.spec?.ports } : undefined));
  return {
    ...service,
    metadata: { namespace: 'default', ...metadata },
    spec: {
      ...spec,
      type: spec.type ?? 'ClusterIP',
      ...{ ipFamilies: families, clusterIPs, clusterIP: clusterIPs[0] ?? '' },
      ...(ports ? { ports } : {}),
    },
    ...(service.status ? {} : before?.status && spec.type === 'LoadBalancer' ? { status: before.status } : {}),
  };
}

type Spec = NonNullable<Service['spec']>;

function familiesOf(spec: Spec, before: Spec | undefined): ('IPv4' | 'IPv6')[] {
  const given = (spec.ipFamilies ?? []) as ('IPv4' | 'IPv6')[];
  const first = given[0] ?? (before?.ipFamilies?.[0] as 'IPv4' | 'IPv6' | undefined) ?? familyOf(spec.clusterIP) ?? 'IPv4';
  const isDual = (spec.ipFamilyPolicy ?? 'SingleStack') !== 'SingleStack' || given.length > 1;
  if (isDual) return [first, first === 'IPv4' ? 'IPv6' : 'IPv4'];
  const all = spec.clusterIPs?.flatMap((text) => familyOf(text) ?? []) ?? [];
  if (given.length === 0 && all.length > 0) return all;
  return given.length === 0 && spec.ipFamilyPolicy === undefined && before?.ipFamilies?.length
    ? (before.ipFamilies as ('IPv4' | 'IPv6')[])
    : [first];
}

const familyOf = (address: string | undefined): 'IPv4' | 'IPv6' | undefined =>
  !address || address === 'None' ? undefined : address.includes(':') ? 'IPv6' : 'IPv4';

function clusterIpsOf(spec: Spec, before: Spec | undefined, families: readonly ('IPv4' | 'IPv6')[], name: string): string[] {
  const given = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  if (given.includes('None')) return ['None'];
  const kept = [...given, ...(before?.clusterIPs ?? []).filter((address) => address !== 'None')];
  return families.map((family) => {
    const range = ranges[family];
    return kept.find((address) => familyOf(address) === family) ?? String(range.at(1 + (hash(name) % (Number(range.size) - 2))));
  });
}

const portKey = ({ protocol = 'TCP', port }: ServicePort): string => `${protocol} ${port}`;

function completePort(port: ServicePort, of: { name: string; before: ServicePort[] | undefined } | undefined): ServicePort {
  const complete = { protocol: 'TCP', targetPort: port.port, ...port };
  if (!of) {
    const { nodePort: _none, ...rest } = complete;
    return rest;
  }
  const kept = of.before?.find((one) => portKey(one) === portKey(port))?.nodePort;
  const madeUp = nodePorts.first + (hash(`${of.name} ${portKey(port)}`) % nodePorts.count);
  return { ...complete, nodePort: port.nodePort || kept || madeUp };
}

/** FNV-1a, 32 bits. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
