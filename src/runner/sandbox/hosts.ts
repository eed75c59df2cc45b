import type { HostAlias, Pod } from '../../kube/types.ts';

/** The pod's host name: `spec.hostname`, else its name, without what is longer than the kernel takes (63); `hostnameOverride` is taken as it is (KEP-4762). */
export const hostnameOf = (pod: Pod): string =>
  pod.spec?.hostnameOverride ?? (pod.spec?.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, '');

/** The full name, when the pod has a subdomain; with `hostnameOverride` it has none, nor a name in DNS (D13). */
export const fqdnOf = (pod: Pod, clusterDomain: string): string | undefined =>
  pod.spec?.subdomain && pod.spec.hostnameOverride === undefined
    ? `${hostnameOf(pod)}.${pod.spec.subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`
    : undefined;

/** Linux' `nodename` without its last byte. */
const longestKernelName = 64;

/**
 * What the kernel calls the pod: the full name with `setHostnameAsFQDN`.
 * @throws Error, in kubelet's words, when that is too long: the pod stays Pending
 */
export function kernelHostnameOf(pod: Pod, clusterDomain: string): string {
  const fqdn = pod.spec?.setHostnameAsFQDN ? fqdnOf(pod, clusterDomain) : undefined;
  if (fqdn === undefined) return hostnameOf(pod);
  if (fqdn.length <= longestKernelName) return fqdn;
  const lengths = `(${longestKernelName} characters is the max, ${fqdn.length} characters requested)`;
  throw new Error(`failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long ${lengths}`);
}

const header = '# Kubernetes-managed hosts file';

/** R10: `/etc/hosts` of a pod with a network of its own, as kubelet writes it. */
export function podHosts(
  podIPs: readonly string[],
  hostname: string,
  fqdn: string | undefined,
  aliases: readonly HostAlias[] = [],
): string {
  const names = fqdn ? `${fqdn}\t${hostname}` : hostname;
  return [
    `${header}.`,
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...podIPs.map((ip) => `${ip}\t${names}`),
    ...aliasLines(aliases),
    '',
  ].join('\n');
}

/** With hostNetwork: the host's file, and the aliases. */
export const hostNetworkHosts = (hostFile: string, aliases: readonly HostAlias[] = []): string =>
  [`${header} (host network).`, hostFile.trimEnd(), ...aliasLines(aliases), ''].join('\n');

const aliasLines = (aliases: readonly HostAlias[]): string[] =>
  aliases.length === 0
    ? []
    : ['', '# Entries added by HostAliases.', ...aliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}`)];
