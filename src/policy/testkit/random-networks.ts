import { IpAddr } from '../../net/ip.ts';
import type { Packet } from '../packet.ts';
import type { AnyObject } from '../policies.ts';
import { clusterPolicy, networkPolicy } from './objects.ts';
import { Random, randomCase, type RandomCase, randomSelector } from './random.ts';

/** Few edges, so that networks share them: the whole family, halves of it, nested blocks beside each other, hosts at the ends of blocks, IPv4-mapped addresses. */
const blocks: Readonly<Record<string, readonly string[]>> = {
  '0.0.0.0/0': ['0.0.0.0/1', '128.0.0.0/1', '10.0.0.0/29', '10.0.0.0/30', '10.0.0.4/30', '203.0.113.0/25', '203.0.113.128/25', '255.255.255.255/32', '0.0.0.0/32'],
  '0.0.0.0/1': ['10.0.0.0/8', '10.0.0.0/28', '10.0.0.2/31', '0.0.0.0/8'],
  '128.0.0.0/1': ['192.0.2.0/30', '192.0.2.1/32', '203.0.113.0/24', '203.0.113.5/32'],
  '10.0.0.0/28': ['10.0.0.0/29', '10.0.0.8/29', '10.0.0.4/32', '10.0.0.5/32'],
  '10.0.0.0/29': ['10.0.0.0/30', '10.0.0.4/30', '10.0.0.1/32', '10.0.0.7/32'],
  '10.0.0.4/30': ['10.0.0.4/31', '10.0.0.6/31'],
  '10.0.0.3/32': [],
  '10.0.0.4/32': ['10.0.0.4/32'],
  '203.0.113.0/24': ['203.0.113.0/25', '203.0.113.128/25', '203.0.113.200/32'],
  '::/0': ['::/1', '8000::/1', 'fd00::/125', 'fd00::/126', '::ffff:0:0/96', '2001:db8:ffff::/48', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128', '::/128'],
  '::ffff:0:0/96': ['::ffff:10.0.0.0/125', '::ffff:10.0.0.4/128'],
  '8000::/1': ['fd00::/8', 'fd00::/124', 'fd00::4/126'],
  'fd00::/124': ['fd00::/125', 'fd00::8/125', 'fd00::4/128'],
  'fd00::4/126': ['fd00::4/127', 'fd00::6/127'],
  'fd00::5/128': [],
};
const cidrs = Object.keys(blocks);
const ports = [53, 80, 81, 443];
const protocols = ['TCP', 'UDP', 'SCTP'] as const;
const ends = [
  ...['0.0.0.0', '0.0.0.1', '9.255.255.255', '10.0.0.0', '10.0.0.15', '10.0.0.16', '127.255.255.255', '128.0.0.0', '203.0.113.127', '203.0.113.128', '255.255.255.255'],
  ...['::', '::ffff:a00:0', '::ffff:a00:4', 'fd00::', 'fd00::f', 'fd00::10', '7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '8000::'],
  ...['2001:db8:ffff::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
];

function randomBlock(random: Random): object {
  const cidr = random.pick(cidrs);
  const inside = blocks[cidr]!;
  const except = inside.length > 0 && random.chance(0.6) ? random.times(1, 3, () => random.pick(inside)) : [];
  return { ipBlock: { cidr, ...(except.length > 0 ? { except } : {}) } };
}

const randomPorts = (random: Random): object =>
  random.chance(0.6)
    ? { ports: random.times(1, 2, () => ({ protocol: random.pick(protocols), port: random.chance(0.2) ? random.pick(['web', 'dns']) : random.pick(ports) })) }
    : {};

/** Up to five rules, each with up to six networks, now and then with pods beside them; rules that only differ by ports, and rules that do not differ. */
function randomRules(random: Random, side: string): object[] {
  const rules: object[] = [];
  for (let left = random.whole(0, 5); left > 0; left--) {
    const peers: object[] = random.times(1, 6, () => randomBlock(random));
    if (random.chance(0.25)) peers.push({ podSelector: randomSelector(random) });
    rules.push({ [side]: random.shuffle(peers), ...randomPorts(random) });
    if (random.chance(0.25)) rules.push({ [side]: random.shuffle(peers), ...randomPorts(random) });
  }
  return rules;
}

export const randomNetworksPolicy = (random: Random, namespace: string, name: string): AnyObject =>
  networkPolicy(`${namespace}/${name}`, {
    podSelector: random.chance(0.5) ? {} : randomSelector(random),
    ...(random.chance(0.7) ? { ingress: randomRules(random, 'from') } : {}),
    ...(random.chance(0.7) ? { egress: randomRules(random, 'to') } : {}),
  });

const randomClusterNetworks = (random: Random, index: number): AnyObject =>
  clusterPolicy(`networks${index}`, {
    ...{ tier: random.pick(['Admin', 'Baseline']), priority: random.whole(0, 5), subject: { namespaces: randomSelector(random) } },
    egress: random.times(1, 4, () => ({
      action: random.pick(['Accept', 'Deny', 'Pass']),
      to: random.times(1, 2, () => ({ networks: random.times(1, 4, () => random.pick(cidrs)) })),
      ...(random.chance(0.5) ? { protocols: [{ [random.pick(['tcp', 'udp'])]: { destinationPort: { number: random.pick(ports) } } }] } : {}),
    })),
  });

/** As `randomCase`, with policies that name many networks which overlap and share edges, and packets that go to and come from these edges. */
export function randomNetworksCase(seed: number, packets = 12): RandomCase {
  const random = new Random(seed ^ 0x5eed);
  const { objects, packets: some } = randomCase(seed, { packets: Math.ceil(packets / 3) });
  const namespaces = objects.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name!);
  const more = [
    ...random.times(1, 5, (index) => randomNetworksPolicy(random, random.pick(namespaces), `nets${index}`)),
    ...random.times(0, 2, (index) => randomClusterNetworks(random, index)),
  ];
  const pods = objects.flatMap((object) => (object as { status?: { podIPs?: { ip: string }[] } }).status?.podIPs ?? []).map(({ ip }) => IpAddr.parse(ip));
  const atEdge = (): Packet => {
    const one = random.pick(pods);
    const others = [...ends.map((text) => IpAddr.parse(text)), ...pods].filter(({ family }) => family === one.family);
    const other = random.pick(others);
    const [source, destination] = random.chance(0.5) ? [one, other] : [other, one];
    return { source, destination, protocol: random.pick(protocols), port: random.chance(0.9) ? random.pick(ports) : random.whole(1, 65535) };
  };
  return { seed, objects: random.shuffle([...objects, ...more]), packets: [...some, ...Array.from({ length: packets - some.length }, atEdge)] };
}
