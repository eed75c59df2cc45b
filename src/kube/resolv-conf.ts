import type { PodSpec } from './types.ts';

export interface ResolvConf {
  nameservers: string[];
  searches: string[];
  options: string[];
}

export interface DnsSettings {
  clusterDns: readonly string[];
  clusterDomain: string;
  /** Content of the host's file; undefined: the node has none, and pods ask their own loopback (R5). */
  host: string | undefined;
  /** Of the node's primary family. */
  loopback: string;
}

const limits = { nameservers: 3, searches: 32, characters: 2048 };
const unique = (all: readonly string[]): string[] => [...new Set(all)];

/** R8: `nameserver` lines add up, of `search` and `options` the last line counts. */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { nameservers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [word, ...rest] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (word === 'nameserver' && rest[0]) conf.nameservers.push(rest[0]);
    else if (word === 'search') conf.searches = rest.map((name) => (name === '.' ? name : name.replace(/\.$/, '')));
    else if (word === 'options') conf.options = rest;
  }
  return conf;
}

/** What a pod's resolver is told, R1 to R7. `events` holds what a person should hear: reason and message. */
export function resolvConf(
  pod: { namespace: string; spec: PodSpec },
  settings: DnsSettings,
): ResolvConf & { events: { reason: string; message: string }[] } {
  const events: { reason: string; message: string }[] = [];
  const base = baseOf(pod, settings, events);
  const { nameservers = [], searches = [], options = [] } = pod.spec.dnsConfig ?? {};
  const named = new Map(base.options.map((option) => [option.split(':')[0]!, option]));
  for (const { name = '', value } of options) named.set(name, value === undefined || value === '' ? name : `${name}:${value}`);
  const merged = {
    nameservers: unique([...base.nameservers, ...nameservers]),
    searches: unique([...base.searches, ...searches]),
    options: [...named.values()],
  };
  return { ...limited(merged, events), events };
}

function baseOf(
  { namespace, spec }: { namespace: string; spec: PodSpec },
  { clusterDns, clusterDomain, host, loopback }: DnsSettings,
  events: { reason: string; message: string }[],
): ResolvConf {
  const policy = spec.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'None') return { nameservers: [], searches: [], options: [] };
  const own = host === undefined ? { nameservers: [loopback], searches: ['.'], options: [] } : parseResolvConf(host);
  const cluster = policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !spec.hostNetwork);
  if (!cluster) return own;
  if (clusterDns.length === 0) {
    events.push({
      reason: 'MissingClusterDNS',
      message: `the node knows no cluster DNS address and cannot serve the policy "${policy}": falling back to "Default"`,
    });
    return own;
  }
  const zone = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  const searches = unique([...zone, ...(host === undefined ? [] : own.searches)]);
  return { nameservers: [...clusterDns], searches, options: ['ndots:5'] };
}

function limited(conf: ResolvConf, events: { reason: string; message: string }[]): ResolvConf {
  const nameservers = conf.nameservers.slice(0, limits.nameservers);
  const searches = conf.searches.slice(0, limits.searches);
  while (searches.join(' ').length > limits.characters) searches.pop();
  const tell = (what: string, applied: readonly string[]): void => {
    const message = `${what} limits were exceeded, some have been omitted, the applied line is: ${applied.join(' ')}`;
    events.push({ reason: 'DNSConfigForming', message });
  };
  if (nameservers.length < conf.nameservers.length) tell('Nameserver', nameservers);
  if (searches.length < conf.searches.length) tell('Search line', searches);
  return { nameservers, searches, options: conf.options };
}

export const formatResolvConf = ({ nameservers, searches, options }: ResolvConf): string =>
  [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ]
    .map((line) => `${line}\n`)
    .join('');
