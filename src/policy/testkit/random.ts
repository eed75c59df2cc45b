import { IpAddr } from '../../net/ip.ts';
import type { Packet, PacketProtocol } from '../packet.ts';
import type { AnyObject } from '../policies.ts';
import { adminPolicy, baselinePolicy, clusterPolicy, namespace, networkPolicy, node, pod } from './objects.ts';

/** A source of choices that a seed determines (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number, both ends included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.whole(0, items.length - 1)]!;
  }

  times<T>(from: number, to: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.whole(from, to) }, (_, index) => make(index));
  }

  shuffle<T>(items: readonly T[]): T[] {
    const all = [...items];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.whole(0, i);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all;
  }
}

/** A cluster with policies, as objects of an API, and packets to judge. */
export interface RandomCase {
  seed: number;
  objects: AnyObject[];
  packets: Packet[];
}

export interface RandomOptions {
  /** Only NetworkPolicies. */
  namespacedOnly?: boolean;
  packets?: number;
}

/**
 * A case that the seed determines: 1 to 3 namespaces, 2 nodes, up to 8 dual-stack pods of few labels, so that selectors meet them, up to 6
 * NetworkPolicies and 4 cluster-wide ones. The same seed and options give the same case for every judge.
 */
export function randomCase(seed: number, { namespacedOnly = false, packets = 12 }: RandomOptions = {}): RandomCase {
  const random = new Random(seed);
  const namespaces = ['red', 'blue', 'green'].slice(0, random.whole(1, 3));
  const nodes = [1, 2].map((n) => node(`n${n}`, [`192.0.2.${n}`, `2001:db8:0:1::${n}`], labels(random)));
  const pods = random.times(2, 8, (index) => randomPod(random, namespaces, index + 1));
  const objects = [
    ...namespaces.map((name) => namespace(name, labels(random))),
    ...nodes,
    ...pods,
    ...random.times(0, 6, (index) => randomNetworkPolicy(random, random.pick(namespaces), index)),
    ...(namespacedOnly ? [] : withOneBaseline(random.times(0, 4, (index) => randomClusterPolicy(random, index)))),
  ];
  const addresses = [...nodes, ...pods].flatMap(addressesOf);
  return {
    seed,
    objects: random.shuffle(objects),
    packets: Array.from({ length: packets }, () => randomPacket(random, addresses)),
  };
}

/** BaselineAdminNetworkPolicy is a singleton. */
const withOneBaseline = (policies: readonly AnyObject[]): AnyObject[] => {
  const first = policies.find(({ kind }) => kind === 'BaselineAdminNetworkPolicy');
  return policies.filter((policy) => policy === first || policy.kind !== 'BaselineAdminNetworkPolicy');
};

const protocols = ['TCP', 'UDP', 'SCTP'] as const;
const ports = [1, 53, 80, 81, 82, 443, 8080, 65535];
const portNames = ['web', 'dns'];
const cidrs = [
  '0.0.0.0/0',
  '::/0',
  '10.0.0.0/24',
  '10.0.0.0/29',
  '10.0.0.4/32',
  'fd00::/64',
  'fd00::4/126',
  '203.0.113.0/24',
  '2001:db8:ffff::/48',
  '192.0.2.2/32',
];
const outside = ['203.0.113.5', '203.0.113.200', '198.51.100.9', '2001:db8:ffff::1', '2001:db8:fffe::1'];

/** Few, so that selectors and labels meet often. */
const labels = (random: Random): Record<string, string> =>
  Object.fromEntries(['app', 'tier'].filter(() => random.chance(0.7)).map((key) => [key, random.pick(['a', 'b', ''])]));

function randomPod(random: Random, namespaces: readonly string[], index: number): AnyObject {
  const onNode = random.whole(1, 2);
  const hostNetwork = random.chance(0.1);
  const ips = hostNetwork
    ? `192.0.2.${onNode} 2001:db8:0:1::${onNode}`
    : random.pick([`10.0.0.${index} fd00::${index}`, `10.0.0.${index} fd00::${index}`, `10.0.0.${index}`, `fd00::${index}`]);
  const named = portNames
    .filter(() => random.chance(0.6))
    .map((name) => ({ name, containerPort: random.pick(ports), protocol: random.pick(protocols) }));
  return pod(`${random.pick(namespaces)}/p${index}`, ips, labels(random), {
    ...{ node: `n${onNode}`, hostNetwork, ports: named },
    phase: random.chance(0.08) ? random.pick(['Succeeded', 'Failed']) : 'Running',
  });
}

export function randomSelector(random: Random): object {
  if (random.chance(0.25)) return {};
  const key = random.pick(['app', 'tier', 'none']);
  if (random.chance(0.5)) return { matchLabels: { [key]: random.pick(['a', 'b', '']) } };
  const operator = random.pick(['In', 'NotIn', 'Exists', 'DoesNotExist']);
  const values = operator.endsWith('In') ? random.pick([['a'], ['a', 'b'], ['']]) : undefined;
  return { matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] };
}

function randomNetworkPolicy(random: Random, inNamespace: string, index: number): AnyObject {
  const rules = (side: string): object[] => random.times(0, 3, () => randomAllowRule(random, side));
  const types = random.pick([undefined, ['Ingress'], ['Egress'], ['Ingress', 'Egress']]);
  return networkPolicy(`${inNamespace}/np${index}`, {
    podSelector: randomSelector(random),
    ...(random.chance(0.7) ? { ingress: rules('from') } : {}),
    ...(random.chance(0.5) ? { egress: rules('to') } : {}),
    ...(types ? { policyTypes: types } : {}),
  });
}

/** One rule of a NetworkPolicy. @param side `from` or `to` */
export const randomAllowRule = (random: Random, side: string): object => ({
  ...(random.chance(0.75) ? { [side]: random.times(0, 3, () => randomPeer(random)) } : {}),
  ...(random.chance(0.6) ? { ports: random.times(0, 3, () => randomPort(random)) } : {}),
});

function randomPeer(random: Random): object {
  if (random.chance(0.35)) {
    const cidr = random.pick(cidrs);
    const inside: Record<string, string[]> = {
      '0.0.0.0/0': ['10.0.0.0/29', '203.0.113.128/25'],
      '::/0': ['fd00::/126'],
      '10.0.0.0/24': ['10.0.0.2/31'],
    };
    return { ipBlock: { cidr, ...(random.chance(0.5) && inside[cidr] ? { except: inside[cidr] } : {}) } };
  }
  const form = random.whole(0, 2);
  return {
    ...(form !== 0 ? { podSelector: randomSelector(random) } : {}),
    ...(form !== 1 ? { namespaceSelector: randomSelector(random) } : {}),
  };
}

function randomPort(random: Random): object {
  const protocol = random.chance(0.6) ? { protocol: random.pick(protocols) } : {};
  if (random.chance(0.15)) return protocol;
  if (random.chance(0.25)) return { ...protocol, port: random.pick(portNames) };
  const port = random.pick(ports);
  return { ...protocol, port, ...(random.chance(0.3) ? { endPort: Math.min(65535, port + random.whole(0, 3)) } : {}) };
}

function randomClusterPolicy(random: Random, index: number): AnyObject {
  const form = random.whole(0, 4);
  const subject = randomSubject(random);
  const rules = (side: string, allow: string, protocolsOf: (random: Random) => object): object =>
    random.times(0, 3, () => ({ ...clusterRule(random, side, allow), ...(random.chance(0.6) ? protocolsOf(random) : {}) }));
  const both = (allow: string, of: (random: Random) => object): object => ({
    ingress: rules('from', allow, of),
    egress: rules('to', allow, of),
  });
  const priority = random.whole(0, 5);
  if (form === 0) return adminPolicy(`anp${index}`, { priority, subject, ...both('Allow', adminPorts) });
  if (form === 1) return baselinePolicy('default', { subject, ...dropPass(both('Allow', adminPorts)) });
  return clusterPolicy(`cnp${index}`, {
    tier: random.pick(['Admin', 'Baseline']),
    priority,
    subject,
    ...both('Accept', clusterProtocols),
  });
}

const dropPass = (spec: object): object => JSON.parse(JSON.stringify(spec).replaceAll('"Pass"', '"Deny"')) as object;

const randomSubject = (random: Random): object =>
  random.chance(0.5)
    ? { namespaces: randomSelector(random) }
    : {
        pods: {
          podSelector: randomSelector(random),
          ...(random.chance(0.5) ? { namespaceSelector: randomSelector(random) } : {}),
        },
      };

function clusterRule(random: Random, side: string, allow: string): object {
  const peer = (): object => {
    if (side === 'to' && random.chance(0.25)) return { networks: random.times(1, 2, () => random.pick(cidrs)) };
    if (side === 'to' && random.chance(0.15)) return { nodes: randomSelector(random) };
    return randomSubject(random);
  };
  return { action: random.pick([allow, 'Deny', 'Pass']), [side]: random.times(1, 2, peer) };
}

/** Named ports stand only with peers that have them: a rule with others is refused, so they are rare here. */
function clusterProtocols(random: Random): object {
  const one = (): object => {
    if (random.chance(0.1)) return { destinationNamedPort: random.pick(portNames) };
    const protocol = random.pick(['tcp', 'udp', 'sctp']);
    const start = random.pick(ports.filter((port) => port < 65535));
    const form = random.whole(0, 2);
    const number = { number: random.pick(ports) };
    const destinationPort =
      form === 0 ? undefined : form === 1 ? number : { range: { start, end: Math.min(65535, start + random.whole(1, 3)) } };
    return { [protocol]: destinationPort ? { destinationPort } : {} };
  };
  return { protocols: random.times(1, 2, one) };
}

function adminPorts(random: Random): object {
  const one = (): object => {
    if (random.chance(0.1)) return { namedPort: random.pick(portNames) };
    const protocol = random.pick(protocols);
    if (random.chance(0.6)) return { portNumber: { protocol, port: random.pick(ports) } };
    const start = random.pick(ports.filter((port) => port < 65535));
    return { portRange: { protocol, start, end: Math.min(65535, start + random.whole(1, 3)) } };
  };
  return { ports: random.times(1, 2, one) };
}

const addressesOf = (object: AnyObject): string[] => {
  const { status } = object as { status?: { podIPs?: { ip: string }[]; addresses?: { type: string; address: string }[] } };
  return [
    ...(status?.podIPs ?? []).map(({ ip }) => ip),
    ...(status?.addresses ?? []).filter(({ type }) => type !== 'Hostname').map(({ address }) => address),
  ];
};

function randomPacket(random: Random, known: readonly string[]): Packet {
  const addresses = [...new Set(known)].map((text) => IpAddr.parse(text));
  const others = outside.map((text) => IpAddr.parse(text));
  const family = random.pick(['ipv4', 'ipv6'] as const);
  const of = (some: readonly IpAddr[]): IpAddr[] => some.filter((one) => one.family === family);
  const end = (): IpAddr => {
    const some = random.chance(0.85) ? of(addresses) : of(others);
    return random.pick(some.length > 0 ? some : of(others));
  };
  const protocol: PacketProtocol = random.chance(0.1) ? 'ICMP' : random.pick(protocols);
  const port = protocol === 'ICMP' ? {} : { port: random.chance(0.8) ? random.pick(ports) : random.whole(1, 65535) };
  return { source: end(), destination: end(), protocol, ...port, ...(random.chance(0.1) ? { viaService: true } : {}) };
}
