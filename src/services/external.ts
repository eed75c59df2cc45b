import type { LoadBalancerIngress, Service } from '../kube/types.ts';
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

/** Whatever an object says, these belong to others: taking them would cut the node off, or another Service (T9). @returns why it is not taken */
function whyNotCaptured(address: IpAddr, { serviceCidrs, podCidrs, clusterCidrs = [] }: ServiceNode): string | undefined {
  if (isSpecial(address)) return 'unspecified, loopback, link-local and multicast addresses are never taken';
  if (serviceCidrs.some((cidr) => cidr.contains(address))) return "it is of a Service CIDR, and another Service's to have";
  if ([...podCidrs, ...clusterCidrs].some((cidr) => cidr.contains(address))) return "it is a pod's to have";
  return undefined;
}

/** Why this node does not take an address of a load balancer's status. */
export function whyNotBalanced({ ip, ipMode }: LoadBalancerIngress, node: ServiceNode): string | undefined {
  const address = IpAddr.tryParse(ip ?? '');
  if (!address) return 'it is no IP address';
  if ((ipMode ?? 'VIP') !== 'VIP') return 'ipMode Proxy: its packets go out to the load balancer itself (SD11)';
  return whyNotCaptured(address, node);
}

/** Why this node does not take an address of spec.externalIPs. */
export function whyNotExternal(text: string, node: ServiceNode): string | undefined {
  const address = IpAddr.tryParse(text);
  if (!address) return 'it is no IP address';
  const { externalIpCidrs = [], addresses } = node;
  if (externalIpCidrs.length === 0) return 'externalIPs are off: services.externalIpCidrs of the agent allows none (SA17)';
  if (!externalIpCidrs.some((cidr) => cidr.contains(address)))
    return `it is not within services.externalIpCidrs of the agent: ${externalIpCidrs.join(', ')} (SA17)`;
  if (addresses.some((own) => own.equals(address))) return 'it is the address of this node';
  return whyNotCaptured(address, node);
}

export function externalAddressesOf({ metadata, spec, status }: Service, node: ServiceNode): ExternalAddresses {
  const isBalanced = spec?.type === 'LoadBalancer';
  const ingress = isBalanced ? (status?.loadBalancer?.ingress ?? []) : [];
  const loadBalancer = ingress.filter((one) => whyNotBalanced(one, node) === undefined).map(({ ip }) => IpAddr.parse(ip!));
  const externalIps = (spec?.externalIPs ?? []).filter((text) => whyNotExternal(text, node) === undefined).map(IpAddr.parse);
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
