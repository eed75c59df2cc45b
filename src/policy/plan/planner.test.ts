import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { clusterDnsPod, usualClusterDns } from '../cluster-dns.ts';
import { evaluate } from '../evaluate.ts';
import { type Policy, policyName } from '../model.ts';
import type { Packet } from '../packet.ts';
import { readParts } from '../read-world.ts';
import { clusterPolicy, networkPolicy } from '../testkit/objects.ts';
import { meaningOf } from '../testkit/meaning.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import { Random, randomCase } from '../testkit/random.ts';
import { makeWorld, type PolicyPod, podKey, type World, type WorldParts } from '../world.ts';
import { PolicyPlanner } from './index.ts';
import { TrafficSets } from './local/traffic-sets.ts';

const podCidrs = ['10.0.0.0/24', 'fd00::/64'].map((text) => Prefix.parse(text));
const nodes = ['n1', 'n2'];

/** What a planner is told, the node's facts included. */
type Parts = Required<WorldParts> & { podCidrs: readonly Prefix[]; dns: readonly PolicyPod[] };

/** A planner for a node that knows all of it, told in the order that `random` gives. */
function plannerOf(node: string, parts: Parts, random: Random, held = new Map(), traffic = new TrafficSets()): PolicyPlanner {
  const planner = new PolicyPlanner({ node: { name: node, podLinks: { group: 1 }, podCidrs: parts.podCidrs }, held, traffic });
  const calls = [
    ...parts.pods.map((pod) => () => planner.setPod(pod)),
    ...[...parts.namespaces].map(([name, labels]) => () => planner.setNamespace(name, labels)),
    ...parts.policies.map((policy) => () => planner.setPolicy(policy)),
    ...parts.nodes.map((one) => () => planner.setNode(one)),
    () => planner.setClusterDns(parts.dns),
    ...[...parts.resolved].map(([name, addresses]) => () => planner.setResolved(name, addresses)),
  ];
  for (const call of random.shuffle(calls)) call();
  return planner;
}

class EagerSets extends TrafficSets {
  override get isFull(): boolean {
    return true;
  }
}

const domains = ['kubernetes.io', 'www.kubernetes.io', 'a.b.example.org'];
const outside = ['203.0.113.5', '203.0.113.200', '198.51.100.9', '2001:db8:ffff::1', '2001:db8:fffe::1', '10.0.0.3', 'fd00::5'];

/** Names of ports beside networks, which have none (NP7). */
const namedEgress = (random: Random): NetworkPolicySpec => ({
  ...{ podSelector: {}, policyTypes: ['Egress'] },
  egress: random.times(1, 2, () => ({
    to: random.times(1, 2, () => {
      const [four, six] = ['10.0.0.0/24', '::/0'].map((cidr) => ({ ipBlock: { cidr } }));
      return random.pick([four!, six!, { podSelector: {} }]);
    }),
    ports: [{ port: random.pick(['web', 'dns']), protocol: random.pick(['TCP', 'UDP', 'SCTP']) }],
  })),
});

/** From pod to pod, to a port that has a name. */
function toNamedPorts(pods: readonly PolicyPod[], random: Random): Packet[] {
  const servers = pods.filter(({ ports }) => ports.length > 0);
  if (servers.length === 0) return [];
  return random.times(20, 20, () => {
    const [server, client] = [random.pick(servers), random.pick(pods)];
    const destination = random.pick(server.addresses);
    const { protocol, number: port } = random.pick(server.ports);
    const source = client.addresses.find(({ family }) => family === destination.family) ?? destination;
    return { source, destination, protocol, port };
  });
}

/** A random case, half of them with domain names. */
function partsOf(seed: number): { parts: Parts; packets: readonly Packet[]; random: Random } {
  const random = new Random(seed + 2_000_000);
  const { objects, packets } = randomCase(seed, { packets: 40 });
  const resolved = new Map<string, IpAddr[]>();
  const some: Policy[] = [];
  if (random.chance(0.4)) {
    const address = (): IpAddr => IpAddr.parse(random.pick(outside));
    for (const name of domains) if (random.chance(0.7)) resolved.set(name, [address(), address()]);
    const names = random.times(1, 2, () => random.pick(['*.kubernetes.io', 'kubernetes.io', '*.example.org', '*.b.example.org']));
    const egress = [
      { action: 'Accept', to: [{ domainNames: names }, ...(random.chance(0.3) ? [{ networks: ['203.0.113.0/25'] }] : [])] },
      { action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] },
    ];
    const head = { tier: random.pick(['Admin', 'Baseline']), priority: 3, subject: { namespaces: {} } };
    some.push(...readParts([clusterPolicy('names', { ...head, egress })]).policies);
  }
  const parts = readParts(objects);
  const named = random.chance(0.4) ? [networkPolicy(`${random.pick([...parts.namespaces.keys()])}/named`, namedEgress(random))] : [];
  some.push(...readParts(named).policies);
  const all = { ...parts, policies: [...parts.policies, ...some], resolved, podCidrs, dns: [] };
  return { parts: all, packets: [...packets, ...toNamedPorts(parts.pods, random)], random };
}

/** Judges each packet at both of its ends by what their nodes planned, and by the specification. */
function compare(world: World, planned: ReadonlyMap<string, PlannedElements>, packets: readonly Packet[]): number {
  let denied = 0;
  for (const given of packets) {
    const packet = `${given.source}` === `${given.destination}` ? { ...given, viaService: true } : given;
    const { source, destination } = packet;
    const [from, to] = [world.podAt.get(`${source}`), world.podAt.get(`${destination}`)];
    const verdict = evaluate(world, packet);
    const egress = from?.node === undefined || planned.get(from.node)!.allows('egress', packet);
    const ingress = to?.node === undefined || planned.get(to.node)!.allows('ingress', packet);
    const text = `${JSON.stringify(packet)}: planned ${egress} ${ingress}, to be ${JSON.stringify([verdict.egress, verdict.ingress])}`;
    const known = (address: IpAddr): boolean =>
      world.podAt.has(`${address}`) || world.nodeAt.has(`${address}`) || !podCidrs.some((cidr) => cidr.contains(address));
    if (!verdict.allowed) denied++;
    if (!known(source) || !known(destination))
      assert.ok(verdict.allowed || !(egress && ingress), `opened to nobody known: ${text}`);
    else if (from && from === to) assert.equal(egress && ingress, verdict.allowed, text);
    else assert.deepEqual([egress, ingress], [verdict.egress.allowed, verdict.ingress.allowed], text);
  }
  return denied;
}

function forEachCase(count: number, check: (seed: number) => void): void {
  for (let seed = 1; seed <= count; seed++)
    try {
      check(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
}

test('what is planned is what the specification says, for generated cases', () => {
  let denied = 0;
  forEachCase(2000, (seed) => {
    const { parts, packets, random } = partsOf(seed);
    const planned = new Map(
      nodes.map((node) => {
        const elements = new PlannedElements();
        elements.take(plannerOf(node, parts, random));
        return [node, elements];
      }),
    );
    denied += compare(makeWorld(parts), planned, packets);
  });
  assert.ok(denied > 5000, `${denied} packets were denied`);
});

/** Changes something, in the parts and in the planner. */
function change(parts: Parts, other: Parts, planners: readonly PolicyPlanner[], random: Random): Parts {
  const tell = (how: (planner: PolicyPlanner) => void): void => planners.forEach(how);
  const withPod = (pod: PolicyPod): Parts => {
    tell((planner) => planner.setPod(pod));
    return { ...parts, pods: [...parts.pods.filter((one) => podKey(one) !== podKey(pod)), pod] };
  };
  const pod = parts.pods.length > 0 ? random.pick(parts.pods) : undefined;
  const isTaken = (one: PolicyPod): boolean =>
    parts.pods.some((had) => podKey(had) === podKey(one) || had.addresses.some((a) => one.addresses.some((b) => a.equals(b))));
  const free = other.pods.filter((one) => !isTaken(one));
  switch (random.whole(0, 11)) {
    case 10: {
      const now = podCidrs.filter(() => random.chance(0.6));
      nodes.forEach((name, i) => planners[i]!.setPlanNode({ name, podLinks: { group: 1 }, podCidrs: now }));
      return { ...parts, podCidrs: now };
    }
    case 11: {
      const dns = random.chance(0.7) ? [{ ...clusterDnsPod(usualClusterDns), labels: random.pick(other.pods).labels }] : [];
      tell((planner) => planner.setClusterDns(dns));
      return { ...parts, dns };
    }
    case 0:
      return pod ? withPod({ ...pod, labels: random.pick(other.pods).labels }) : parts;
    case 1:
      if (!pod) return parts;
      return withPod({ ...pod, ...(random.chance(0.5) ? { ended: !pod.ended } : { ports: random.pick(other.pods).ports }) });
    case 2:
      if (!pod) return parts;
      tell((planner) => planner.deletePod(podKey(pod)));
      return { ...parts, pods: parts.pods.filter((one) => one !== pod) };
    case 3:
      return free.length > 0 ? withPod(random.pick(free)) : parts;
    case 4: {
      const [name, labels] = random.pick([...other.namespaces]);
      if (random.chance(0.2)) {
        tell((planner) => planner.deleteNamespace(name));
        return { ...parts, namespaces: new Map([...parts.namespaces].filter(([one]) => one !== name)) };
      }
      tell((planner) => planner.setNamespace(name, labels));
      return { ...parts, namespaces: new Map([...parts.namespaces, [name, labels]]) };
    }
    case 5: {
      const node = random.pick(other.nodes);
      const rest = parts.nodes.filter(({ name }) => name !== node.name);
      tell((planner) => planner.setNode(node));
      return { ...parts, nodes: [...rest, node] };
    }
    case 6: {
      const name = random.pick(domains);
      const addresses = random.times(0, 2, () => IpAddr.parse(random.pick(outside)));
      tell((planner) => planner.setResolved(name, addresses));
      const resolved = new Map(parts.resolved);
      if (addresses.length > 0) resolved.set(name, addresses);
      else resolved.delete(name);
      return { ...parts, resolved };
    }
    case 7: {
      if (parts.policies.length === 0) return parts;
      const policy = random.pick(parts.policies);
      tell((planner) => planner.deletePolicy(policy));
      return { ...parts, policies: parts.policies.filter((one) => one !== policy) };
    }
    default: {
      if (other.policies.length === 0) return parts;
      const policy = random.pick(other.policies);
      tell((planner) => planner.setPolicy(policy));
      return { ...parts, policies: [...parts.policies.filter((one) => policyName(one) !== policyName(policy)), policy] };
    }
  }
}

test('after any changes what is planned means what a planner that begins then plans, and does what the specification says', () => {
  let owners = 0;
  forEachCase(300, (seed) => {
    const { parts: first, packets, random } = partsOf(seed);
    const { parts: other } = partsOf(seed + 50_000);
    let parts = first;
    // Of two one frees what is not in use before each plan.
    const bedOf = (node: string) => ({
      planner: plannerOf(node, parts, random, new Map(), seed % 2 === 0 ? new EagerSets() : undefined),
      elements: new PlannedElements(),
    });
    const planned = new Map(nodes.map((node) => [node, bedOf(node)]));
    const planners = [...planned.values()].map(({ planner }) => planner);
    for (const { planner, elements } of planned.values()) elements.take(planner);
    for (let step = 0; step < 6; step++) {
      for (let i = random.whole(1, 3); i > 0; i--) parts = change(parts, other, planners, random);
      for (const [node, { planner, elements }] of planned) {
        owners += elements.take(planner).length;
        const fresh = new PlannedElements();
        fresh.take(plannerOf(node, parts, random));
        assert.deepEqual(meaningOf(elements.items), meaningOf(fresh.items), `node ${node}, step ${step}`);
        const restarted = new PlannedElements();
        restarted.take(plannerOf(node, parts, random, elements.network()));
        assert.deepEqual(restarted.network(), elements.network(), `node ${node}, step ${step}: a restart changes something`);
      }
    }
    const world = makeWorld({ ...parts, pods: [...parts.pods, ...parts.dns] });
    compare(world, new Map([...planned].map(([node, { elements }]) => [node, elements])), packets);
  });
  assert.ok(owners > 5000, `${owners} owners changed`);
});
