import { IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import { policyName } from '../../model.ts';
import { endAt } from '../../packet.ts';
import type { AnyObject } from '../../policies.ts';
import { readWorld } from '../../read-world.ts';
import { Random, randomCase, type RandomOptions } from '../../testkit/random.ts';
import { podKey, type World } from '../../world.ts';
import { PolicyPlanner, type PolicyPlanNode } from '../planner.ts';
import { Enforcer } from './enforcer.ts';
import { type End, type Fabric, nodeAddresses, nodeOfPod, podGroup } from './fabric.ts';
import type { Probe } from './probes.ts';

interface PodObject extends AnyObject {
  spec: { nodeName?: string; hostNetwork?: boolean };
  status: { podIPs: { ip: string }[] };
}

/** A random case on the fabric: each pod is on the node where it stands there. */
export function objectsOf(seed: number, options: RandomOptions = {}): AnyObject[] {
  return randomCase(seed, { ...options, packets: 0 }).objects.map((object) => {
    if (object.kind !== 'Pod') return object;
    const pod = structuredClone(object) as PodObject;
    const node = nodeOfPod(Number(pod.metadata.name!.slice(1)));
    pod.spec.nodeName = `n${node}`;
    if (pod.spec.hostNetwork) pod.status.podIPs = nodeAddresses(node).map((ip) => ({ ip }));
    return pod as AnyObject;
  });
}

/** Labels of some pods and namespaces become others, and a policy goes or comes back. */
export function mutated(random: Random, objects: readonly AnyObject[], gone: readonly AnyObject[]): AnyObject[] {
  const changed = objects.map((object) => {
    if ((object.kind !== 'Pod' && object.kind !== 'Namespace' && object.kind !== 'Node') || random.chance(0.7)) return object;
    const labels = Object.fromEntries(['app', 'tier'].filter(() => random.chance(0.7)).map((key) => [key, random.pick(['a', 'b', ''])]));
    return { ...object, metadata: { ...object.metadata, labels } } as AnyObject;
  });
  const dropped = changed.filter((object) => !object.kind?.endsWith('NetworkPolicy') || random.chance(0.8));
  return [...dropped, ...gone];
}

const same = (a: unknown, b: unknown): boolean => textOf(a) === textOf(b);
const textOf = (value: unknown): string => JSON.stringify(value, (_, part: unknown) => (part instanceof IpAddr || part instanceof Prefix ? String(part) : part));

/** Planners and kernels of all nodes, which go from one world to the next by what differs. */
export class MovingWorld {
  readonly #planners: PolicyPlanner[] = [];
  readonly #enforcers: Enforcer[] = [];
  #world: World = readWorld([]);

  /** @param podCidrs that the nodes are told of */
  constructor(fabric: Fabric, podCidrs: readonly string[]) {
    for (const { name, reconciler } of fabric.nodes) {
      const node: PolicyPlanNode = { name, podLinks: { group: podGroup }, podCidrs: podCidrs.map((text) => Prefix.parse(text)) };
      const planner = new PolicyPlanner({ node, held: reconciler.observe() });
      this.#planners.push(planner);
      this.#enforcers.push(new Enforcer(planner, reconciler, node));
    }
  }

  get world(): World {
    return this.#world;
  }

  /** Every node's kernel is told. */
  become(objects: readonly AnyObject[]): void {
    const next = readWorld(objects);
    for (const planner of this.#planners) feed(planner, this.#world, next);
    this.#world = next;
    for (const enforcer of this.#enforcers) enforcer.settle();
  }
}

function feed(planner: PolicyPlanner, before: World, now: World): void {
  differ(
    new Map(before.pods.map((pod) => [podKey(pod), pod])),
    new Map(now.pods.map((pod) => [podKey(pod), pod])),
    (_, pod) => planner.setPod(pod),
    (key) => planner.deletePod(key),
  );
  differ(before.namespaces, now.namespaces, (name, labels) => planner.setNamespace(name, labels), (name) => planner.deleteNamespace(name));
  differ(
    new Map(before.nodes.map((node) => [node.name, node])),
    new Map(now.nodes.map((node) => [node.name, node])),
    (_, node) => planner.setNode(node),
    (name) => planner.deleteNode(name),
  );
  differ(
    new Map(before.policies.map((policy) => [policyName(policy), policy])),
    new Map(now.policies.map((policy) => [policyName(policy), policy])),
    (_, policy) => planner.setPolicy(policy),
    (_, policy) => planner.deletePolicy(policy),
  );
}

function differ<T>(before: ReadonlyMap<string, T>, now: ReadonlyMap<string, T>, set: (key: string, value: T) => void, gone: (key: string, value: T) => void): void {
  for (const [key, value] of before) if (!now.has(key)) gone(key, value);
  for (const [key, value] of now) if (!before.has(key) || !same(before.get(key), value)) set(key, value);
}

const ports = [1, 53, 54, 80, 81, 82, 83, 443, 444, 8080, 8081, 65535];

/**
 * Probes between all pairs of which one at least is a pod, `each` of a pair.
 * @param known only ends that the world knows as pods, nodes or the outside
 */
export function probesOf(random: Random, ends: readonly End[], world: World, each: number, known: boolean): Probe[] {
  const all = ends.flatMap((end) => end.addresses.map((address, i) => ({ end, address, service: end.services?.[i] })));
  const usable = all.filter(({ end, address }) => !known || end.kind !== 'pod' || endAt(world, address).kind === 'pod');
  const probes: Probe[] = [];
  for (const { end: from, address: source } of usable)
    for (const { end: to, address: destination, service } of usable) {
      if (source.family !== destination.family || (from.kind !== 'pod' && to.kind !== 'pod')) continue;
      // Nodes translate what comes to them, not what they send; and what a pod sends to itself leaves it by a Service only.
      const mayBeService = service !== undefined && from.kind !== 'node';
      if (from === to && !mayBeService) continue;
      for (let i = 0; i < each; i++) {
        const protocol = random.pick(['TCP', 'TCP', 'UDP', 'SCTP', 'ICMP'] as const);
        const port = protocol === 'ICMP' ? {} : { port: random.chance(0.9) ? random.pick(ports) : random.whole(1, 65535) };
        const through = mayBeService && (from === to || random.chance(0.25)) ? { through: service, viaService: true } : {};
        probes.push({ from, to, source, destination, protocol, ...port, ...through });
      }
    }
  return probes;
}
