import type { IPAddress, ServiceCIDR } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';

/** networking.k8s.io: keeps a ServiceCIDR while addresses of it are in use. */
export const cidrFinalizer = 'networking.k8s.io/service-cidr-finalizer';
export const managedByLabel = 'ipaddress.kubernetes.io/managed-by';
export const familyLabel = 'ipaddress.kubernetes.io/ip-family';
/** Who made the IPAddress of a Service: kube-apiserver's allocator. */
export const allocator = 'ipallocator.k8s.io';

export const prefixesOf = ({ spec }: ServiceCIDR): Prefix[] =>
  (spec?.cidrs ?? []).flatMap((text) => {
    try {
      return Prefix.parse(text);
    } catch {
      return [];
    }
  });

/** IP1: the addresses in use that no other ServiceCIDR has, so that this one must stay. */
export function orphansOf(cidr: ServiceCIDR, others: readonly ServiceCIDR[], addresses: readonly IPAddress[]): string[] {
  const own = prefixesOf(cidr);
  const covered = others
    .filter(({ metadata }) => metadata.name !== cidr.metadata.name && metadata.deletionTimestamp === undefined)
    .flatMap(prefixesOf);
  return addresses
    .map(({ metadata }) => metadata.name)
    .filter((name) => {
      const ip = IpAddr.tryParse(name);
      return ip && own.some((prefix) => prefix.contains(ip)) && !covered.some((prefix) => prefix.contains(ip));
    });
}
