import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { evaluate } from '../evaluate.ts';
import type { Policy } from '../model.ts';
import type { Packet } from '../packet.ts';
import { readParts } from '../read-world.ts';
import { clusterPolicy } from '../testkit/objects.ts';
import { PlannedElements } from '../testkit/planned-elements.ts';
import { Random, randomCase } from '../testkit/random.ts';
import { makeWorld, type PolicyPod, podKey, type World, type WorldParts } from '../world.ts';
import { PolicyPlanner } from './index.ts';

const podCidrs = ['10.0.0.0/24', 'fd00::/64'].map((text) => Prefix.parse(text));
const nodes = ['n1', 'n2'];

type Parts = Required<WorldParts>;

/** A planner for a node that knows all of it, told in the order that `random` gives. */
function plannerOf(node: string, parts: Parts, random: Random, held = new Map()): PolicyPlanner {
  const planner = new PolicyPlanner({ node: { name: node, podLinks: { group: 1 }, podCidrs }, held });
  const calls = [
    ...parts.pods.map((pod) => () => planner.setPod(pod)),
    ...[...parts.namespaces].map(([name, labels]) => () => planner.setNamespace(name, labels)),
    ...parts.policies.map((policy) => () => planner.setPolicy(policy)),
    ...parts.nodes.map((one) => () => planner.setNode(one)),
    ...[...parts.resolved].map(([name, addresses]) => () => planner.setResolved(name, addresses)),
  ];
  for (const call of random.shuffle(calls)) call();
  return planner;
}

const domains = ['kubernetes.io', 'www.kubernetes.io', 'a.b.example.org'];
const outside = ['203.0.113.5', '203.0.113.200', '198.51.100.9', '2001:db8:ffff::1', '2001:db8:fffe::1', '10.0.0.3', 'fd00::5'];

/** A random case, half of them with domain names. */
function partsOf(seed: number): { parts: Parts; packets: readonly Packet[]; random: Random } {
  const random = new Random(seed + 2_000_000);
  const { objects, packets } = randomCase(seed, { packets: 40 });
  const resolved = new Map<string, IpAddr[]>();
  const some: Policy[] = [];
  if (random.chance(0.4)) {
    for (const name of domains) if (random.chance(0.7)) resolved.set(name, [IpAddr.parse(random.pick(outside)), IpAddr.parse(random.pick(outside))]);
    const names = random.times(1, 2, () => random.pick(['*.kubernetes.io', 'kubernetes.io', '*.example.org', '*.b.example.org']));
    const egress = [
      { action: 'Accept', to: [{ domainNames: names }, ...(random.chance(0.3) ? [{ networks: ['203.0.113.0/25'] }] : [])] },
      { action: 'Deny', to: [{ networks: ['0.0.0.0/0', '::/0'] }] },
    ];
    some.push(...readParts([clusterPolicy('names', { tier: random.pick(['Admin', 'Baseline']), priority: 3, subject: { namespaces: {} }, egress })]).policies);
  }
  const parts = readParts(objects);
  return { parts: { ...parts, policies: [...parts.policies, ...some], resolved }, packets, random };
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
    if (!known(source) || !known(destination)) assert.ok(verdict.allowed || !(egress && ingress), `opened to nobody known: ${text}`);
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

test('NP1 to NP22, CNP1 to CNP12: what is planned is what the specification says, for generated cases', () => {
  let denied = 0;
  forEachCase(3000, (seed) => {
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
  assert.ok(denied > 10_000, `${denied} packets were denied`);
});
