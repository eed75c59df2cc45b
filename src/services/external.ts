import type { Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { ServiceNode } from './node.ts';
import { isSpecial } from './special.ts';

/** Addresses outside of the cluster by which a Service is reached. */
export interface ExternalAddresses {
  /** Of its load balancer, and answered by the nodes themselves (SA13, SD11: ipMode VIP). */
  loadBalancer: readonly IpAddr[];
  /** All of them, with spec.externalIPs. */
  all: readonly IpAddr[];
  /** Who may use the load balancer's addresses (SD10); undefined for everybody. */
  sources: readonly Prefix[] | undefined;
}

const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

/** Whatever an object says, these belong to others: taking them would cut the node off, or another Service (T9). */
const isCapturable = (address: IpAddr, { serviceCidrs, podCidrs, clusterCidrs = [] }: ServiceNode): boolean =>
  !isSpecial(address) && ![...serviceCidrs, ...podCidrs, ...clusterCidrs].some((cidr) => cidr.contains(address));

export function externalAddressesOf({ metadata, spec, status }: Service, node: ServiceNode): ExternalAddresses {
  const parse = (texts: readonly (string | undefined)[]): IpAddr[] =>
    texts.flatMap((text) => {
      const address = IpAddr.tryParse(text ?? '');
      return address && isCapturable(address, node) ? address : [];
    });
  const isBalanced = spec?.type === 'LoadBalancer';
  const ingress = isBalanced ? (status?.loadBalancer?.ingress ?? []) : [];
  const loadBalancer = parse(ingress.filter(({ ipMode }) => (ipMode ?? 'VIP') === 'VIP').map(({ ip }) => ip));
  const allowed = node.externalIpCidrs ?? [];
  const externalIps = parse(spec?.externalIPs ?? []).filter(
    (address) => allowed.some((cidr) => cidr.contains(address)) && !node.addresses.some((own) => own.equals(address)),
  );
  const all = [...new Map([...loadBalancer, ...externalIps].map((address) => [`${address}`, address])).values()];
  if (!isBalanced) return { loadBalancer, all, sources: undefined };
  const ranges = spec?.loadBalancerSourceRanges?.length
    ? spec.loadBalancerSourceRanges
    : (metadata.annotations?.[sourceRangesAnnotation] ?? '').split(',');
  const texts = ranges.map((range) => range.trim()).filter((range) => range !== '');
  return { loadBalancer, all, sources: texts.length === 0 ? undefined : sourcesOf(texts, loadBalancer, node) };
}

/**
 * What cannot be read admits nobody. Where the node itself is admitted, so are the load balancer's addresses: they are what a packet of the node to such an
 * address may come from (SD10).
 */
function sourcesOf(texts: readonly string[], loadBalancer: readonly IpAddr[], node: ServiceNode): Prefix[] {
  const ranges = texts.flatMap((text) => sloppyPrefix(text) ?? []);
  const families = new Set(
    node.addresses.filter((own) => ranges.some((range) => range.contains(own))).map(({ family }) => family),
  );
  return [...ranges, ...loadBalancer.filter(({ family }) => families.has(family)).map((address) => Prefix.host(address))];
}

/** SA19: objects that an older API server accepted may have bits set behind the prefix. */
function sloppyPrefix(text: string): Prefix | undefined {
  const [address, length] = text.split('/');
  const parsed = IpAddr.tryParse(address ?? '');
  const bits = Number(length);
  if (!parsed || length === undefined || !/^\d{1,3}$/.test(length) || bits > parsed.bytes.length * 8) return undefined;
  return Prefix.of(parsed, bits);
}
