import { parseUpstream } from '../dns/forward/target.ts';
import { type Family, families } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { IpRange } from '../net/range.ts';
import { UsageError } from './errors.ts';
import { faultOfLabName, faultOfNodeName } from './names.ts';
import { checkPools, checkRanges } from './ranges.ts';

const ipFamilies = ['ipv4', 'ipv6', 'dual'] as const;
const attachModes = ['routed', 'bridge'] as const;
const backends = ['auto', 'direct', 'vxlan'] as const;

/** What a lab is made of. Plain JSON; stands in `lab.json` of the running lab. */
export interface LabConfig {
  name: string;
  nodes: NodeConfig[];
  ipFamily: (typeof ipFamilies)[number];
  attach: (typeof attachModes)[number];
  backend: (typeof backends)[number];
  /** One CIDR per family, primary first. */
  podCidrs: string[];
  serviceCidrs: string[];
  /** What Services of type LoadBalancer get their addresses from: `FIRST-LAST` or CIDRs, each on one of the underlay's links, whose nodes announce them. None: they get none. */
  loadBalancerPools: string[];
  clusterDomain: string;
  /** Destinations that pods reach with their own address, beside pods, nodes and Services. */
  nonMasqueradeCidrs: string[];
  /** MTU of the underlay's links. */
  mtu: number;
  /** Image patterns → what runs for them, beside the built-in list (see src/runner/images). */
  images: unknown[];
  /** Resolvers for names outside of the cluster; the host's own when empty. */
  upstreamDns: string[];
}

export interface NodeConfig {
  name: string;
  /** Index of the underlay link that the node stands on. Nodes on one link reach each other directly, others through the router. */
  link: number;
  labels?: Record<string, string>;
}

export interface LabOptions {
  name?: string;
  nodes?: number | string;
  ipFamily?: string;
  attach?: string;
  backend?: string;
  links?: number | string;
}

const podRanges: Record<Family, string> = { ipv4: '10.244.0.0/16', ipv6: 'fd00:10:244::/56' };
const serviceRanges: Record<Family, string> = { ipv4: '10.96.0.0/16', ipv6: 'fd00:10:96::/112' };
/** Of a link's prefixes (topology.ts), clear of nodes, router and broadcast. */
const balancerPool = (family: Family, link: number): string => {
  if (family === 'ipv4') return `172.30.${link}.128-172.30.${link}.254`;
  const prefix = link === 0 ? 'fd30:' : `fd30:0:0:${link}:`;
  return IpRange.parse(`${prefix}:1:0-${prefix}:1:ffff`).toString();
};
const maxNodes = 64;

/** The families of a lab, primary first. */
export function familiesOf(config: Pick<LabConfig, 'ipFamily'>): readonly Family[] {
  return config.ipFamily === 'dual' ? families : [config.ipFamily];
}

/**
 * Options of the command line and the parsed lab file, made into a whole configuration.
 * @throws UsageError with one sentence per mistake
 */
export function labConfig(options: LabOptions, file: unknown = {}): LabConfig {
  const from = asRecord(file, 'the lab file', fields);
  const name = String(options.name ?? from.name ?? 'demo');
  const fault = faultOfLabName(name);
  if (fault) throw new UsageError(fault);
  const ipFamily = oneOf('--ip-family', options.ipFamily ?? from.ipFamily ?? 'ipv4', ipFamilies);
  const served: readonly Family[] = familiesOf({ ipFamily });
  const links = whole('--links', options.links ?? from.links ?? 1, 1, 8);
  const nodes = nodesOf(options.nodes ?? from.nodes ?? 3, links);
  const used = [...new Set(nodes.map(({ link }) => link))].sort((a, b) => a - b);
  const config: LabConfig = {
    name,
    nodes,
    ipFamily,
    attach: oneOf('--attach', options.attach ?? from.attach ?? 'routed', attachModes),
    backend: oneOf('--backend', options.backend ?? from.backend ?? 'auto', backends),
    podCidrs: cidrs('podCidrs', from.podCidrs, served, podRanges),
    serviceCidrs: cidrs('serviceCidrs', from.serviceCidrs, served, serviceRanges),
    loadBalancerPools:
      from.loadBalancerPools === undefined
        ? used.flatMap((link) => served.map((family) => balancerPool(family, link)))
        : list(from.loadBalancerPools).map((text) => parsed('loadBalancerPools', text, IpRange.parse).toString()),
    clusterDomain: domain(from.clusterDomain ?? 'cluster.local'),
    nonMasqueradeCidrs: list(from.nonMasqueradeCidrs).map((text) => cidr('nonMasqueradeCidrs', text).toString()),
    mtu: whole('mtu', from.mtu ?? 1500, 1280, 9000),
    images: list(from.images).map((image, i) => mapping(image, `images[${i}]`)),
    upstreamDns: list(from.upstreamDns).map((text) => resolver(text)),
  };
  checkRanges(config);
  checkPools(config, served);
  return config;
}

const fields = [
  ...['name', 'nodes', 'links', 'ipFamily', 'attach', 'backend', 'podCidrs', 'serviceCidrs', 'clusterDomain'],
  'loadBalancerPools',
  ...['nonMasqueradeCidrs', 'mtu', 'images', 'upstreamDns'],
];

function nodesOf(given: unknown, links: number): NodeConfig[] {
  if (!Array.isArray(given)) {
    const count = whole('--nodes', given, 1, maxNodes);
    return Array.from({ length: count }, (_, i) => ({ name: `node-${i + 1}`, link: i % links }));
  }
  if (given.length === 0 || given.length > maxNodes)
    throw new UsageError(`nodes must list 1 to ${maxNodes} nodes, not ${given.length}`);
  const nodes = given.map((entry, i): NodeConfig => {
    const record = asRecord(entry, `nodes[${i}]`, ['name', 'link', 'labels']);
    const name = String(record.name ?? `node-${i + 1}`);
    const fault = faultOfNodeName(name);
    if (fault) throw new UsageError(fault);
    const link = whole(`nodes[${i}].link`, record.link ?? i % links, 0, 7);
    return {
      name,
      link,
      ...(record.labels ? { labels: labels(record.labels, `nodes[${i}].labels`) } : {}),
    };
  });
  const twice = nodes.find((node, i) => nodes.findIndex((other) => other.name === node.name) !== i);
  if (twice) throw new UsageError(`two nodes are named "${twice.name}"`);
  const reserved = nodes.find((node) => ['underlay', 'router', 'outside'].includes(node.name));
  if (reserved) throw new UsageError(`"${reserved.name}" cannot name a node: the lab uses that name itself`);
  return nodes;
}

function cidrs(field: string, given: unknown, served: readonly Family[], defaults: Record<Family, string>): string[] {
  if (given === undefined) return served.map((family) => defaults[family]);
  const parsed = list(given).map((text) => cidr(field, text));
  if (parsed.length !== served.length || parsed.some((prefix, i) => prefix.family !== served[i])) {
    throw new UsageError(
      `${field} must give one CIDR for each of ${served.join(', ')} in this order, not ${parsed.join(', ') || 'none'}`,
    );
  }
  return parsed.map(String);
}

const cidr = (field: string, text: unknown): Prefix => parsed(field, text, Prefix.parse);

function parsed<T>(field: string, text: unknown, parse: (text: string) => T): T {
  try {
    return parse(String(text));
  } catch (error) {
    throw new UsageError(`${field}: ${(error as Error).message}`);
  }
}

function resolver(text: unknown): string {
  parsed('upstreamDns', text, parseUpstream);
  return String(text);
}

function domain(value: unknown): string {
  const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  if (typeof value === 'string' && value.length <= 200 && new RegExp(`^${label}(\\.${label})*$`).test(value)) return value;
  throw new UsageError(`clusterDomain must be a domain in lower case like cluster.local, not ${JSON.stringify(value)}`);
}

function labels(value: unknown, what: string): Record<string, string> {
  const record = asRecord(value, what);
  for (const [key, text] of Object.entries(record))
    if (typeof text !== 'string')
      throw new UsageError(`${what}.${key} must be text, not ${JSON.stringify(text)}: put it in quotes`);
  return record as Record<string, string>;
}

/** @see ImageMapping of src/runner/config.ts */
function mapping(value: unknown, what: string): unknown {
  const record = asRecord(value, what, ['image', 'busybox', 'rootfs', 'entrypoint', 'command']);
  if (typeof record.image !== 'string' || record.image === '')
    throw new UsageError(
      `${what}.image must be the name of an image, with * for any characters, not ${JSON.stringify(record.image)}`,
    );
  const roots = [record.busybox, record.rootfs].filter((root) => root !== undefined);
  if (roots.length !== 1 || typeof roots[0] !== 'string' || !roots[0].startsWith('/'))
    throw new UsageError(
      `${what} needs either busybox, the absolute path of a static executable, or rootfs, that of a directory`,
    );
  for (const field of ['entrypoint', 'command'] as const) {
    const words = record[field];
    if (words !== undefined && !(Array.isArray(words) && words.every((word) => typeof word === 'string')))
      throw new UsageError(`${what}.${field} must be a list of texts, not ${JSON.stringify(words)}`);
  }
  return record;
}

function oneOf<T extends string>(flag: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((choice) => choice === value);
  if (!found) throw new UsageError(`${flag} must be one of ${allowed.join(', ')}, not "${String(value)}"`);
  return found;
}

function whole(flag: string, value: unknown, min: number, max: number): number {
  const n = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof n !== 'number' || !Number.isInteger(n) || n < min || n > max) {
    throw new UsageError(`${flag} must be a whole number from ${min} to ${max}, not "${String(value)}"`);
  }
  return n;
}

function list(value: unknown): unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

function asRecord(value: unknown, what: string, known?: readonly string[]): Record<string, unknown> {
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw new UsageError(`${what} must be a mapping, not ${JSON.stringify(value)}`);
  const unknown = known && Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new UsageError(`${what} has an unknown field "${unknown}"; known are ${known!.join(', ')}`);
  return value as Record<string, unknown>;
}
