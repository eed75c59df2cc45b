import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nft } from '../kernel/nftables/index.ts';
import type { EndpointSlice, Service } from '../kube/types.ts';
import { readCluster } from '../policy/manifests.ts';
import { policyName } from '../policy/model.ts';
import { defaultConnmarkMask, PolicyPlanner, planEpoch, planPolicyChains } from '../policy/plan/index.ts';
import type { AnyObject } from '../policy/policies.ts';
import { Random, randomCase, randomSelector } from '../policy/testkit/random.ts';
import { podKey } from '../policy/world.ts';
import { type Item, itemsOf, keyOf, type NftElement, NftWriter, type NodeNetwork, Reconciler } from '../reconcile/index.ts';
import { ServicePlanner } from '../services/index.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { type Cluster, clusterAfter, clusterOf } from './cluster.ts';
import { differenceOf } from './difference.ts';
import type { ElementChange } from './elements.ts';
import { type NodeSetting, predict } from './predict.ts';
import { nodeSettings } from './settings.ts';

const service = (random: Random, name: string): AnyObject =>
  ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: random.pick(['red', 'blue', 'green']), name } },
    spec: {
      type: random.pick(['ClusterIP', 'ClusterIP', 'NodePort', 'LoadBalancer']),
      selector: { [random.pick(['app', 'tier'])]: random.pick(['a', 'b']) },
      ...(random.chance(0.4) ? { ipFamilyPolicy: 'PreferDualStack' } : {}),
      ...(random.chance(0.2) ? { sessionAffinity: 'ClientIP' } : {}),
      ...(random.chance(0.2) ? { internalTrafficPolicy: 'Local' } : {}),
      ...(random.chance(0.2) ? { externalTrafficPolicy: 'Local' } : {}),
      ports: [
        { name: 'web', port: random.pick([80, 81]), targetPort: random.pick<string | number>(['web', 8080]) },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    },
  }) as AnyObject;

interface World {
  before: AnyObject[];
  after: AnyObject[];
}

const nameOf = ({ kind, metadata }: AnyObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

/** A cluster, and what it is after a change that takes, gives and changes policies, Services, pods and labels. */
function randomChange(seed: number): World {
  const random = new Random(seed);
  const services = random.times(1, 6, (index) => service(random, `s${index}`));
  const before = [...randomCase(seed).objects, ...services];
  const others = randomCase(seed + 1_000_000).objects.filter(({ kind }) => kind?.endsWith('NetworkPolicy'));
  const changed = before
    .filter(({ kind }) => kind === 'Node' || kind === 'Namespace' || random.chance(0.85))
    .map((object) => {
      if (object.kind === 'Service' && random.chance(0.4))
        return { ...service(random, object.metadata.name), metadata: object.metadata };
      if ((object.kind === 'Pod' || object.kind === 'Namespace') && random.chance(0.2))
        return { ...object, metadata: { ...object.metadata, labels: { app: random.pick(['a', 'b']) } } };
      if (object.kind === 'NetworkPolicy' && random.chance(0.3))
        return { ...object, spec: { ...(object.spec as object), podSelector: randomSelector(random) } } as AnyObject;
      return object;
    });
  const more = random.shuffle([...others.slice(0, random.whole(0, 3)), service(random, 'new')]);
  return { before, after: [...new Map([...changed, ...more].map((object) => [nameOf(object), object])).values()] };
}

/** An agent's planners, told of one object after the other. */
class Agent {
  readonly #services: ServicePlanner;
  readonly #policies: PolicyPlanner;
  readonly #reconciler: Reconciler;
  readonly #chains: readonly Item[];
  readonly #hasEpoch: boolean;

  /** @param hasEpoch the kernel is real, and takes no jump to a chain that is not there */
  constructor({ service, policy, answered, answerable }: NodeSetting, reconciler: Reconciler, hasEpoch = false) {
    this.#hasEpoch = hasEpoch;
    const held = new Map();
    this.#services = new ServicePlanner({ node: service, services: [], slices: [], held, answered, answerable });
    this.#policies = new PolicyPlanner({ node: policy, held });
    this.#chains = planPolicyChains({ podLinks: policy.podLinks });
    this.#reconciler = reconciler;
  }

  /** @returns what was written */
  become(before: Cluster, after: Cluster): ReturnType<Reconciler['sync']> {
    const objects = ({ metadata }: Service | EndpointSlice): string => `${metadata.namespace}/${metadata.name}`;
    const services = differenceOf(before.services, after.services, objects);
    for (const { metadata } of services.deleted) this.#services.deleteService(metadata.namespace!, metadata.name);
    for (const one of services.set) this.#services.setService(one);
    const slices = differenceOf(before.slices, after.slices, objects);
    for (const { metadata } of slices.deleted) this.#services.deleteSlice(metadata.namespace!, metadata.name);
    for (const one of slices.set) this.#services.setSlice(one);
    const policies = this.#policies;
    const alike = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
    for (const node of differenceOf(before.world.nodes, after.world.nodes, ({ name }) => name, alike).set) policies.setNode(node);
    for (const [name, labels] of after.world.namespaces)
      if (!alike(before.world.namespaces.get(name), labels)) policies.setNamespace(name, labels);
    const pods = differenceOf(before.world.pods, after.world.pods, podKey);
    for (const pod of pods.deleted) policies.deletePod(podKey(pod));
    for (const pod of pods.set) policies.setPod(pod);
    const rules = differenceOf(
      before.world.given,
      after.world.given,
      policyName,
      (a, b) => JSON.stringify(a) === JSON.stringify(b),
    );
    for (const policy of rules.deleted) policies.deletePolicy(policy);
    for (const policy of rules.set) policies.setPolicy(policy);
    this.#reconciler.contribute('policy layout', policies.isActive ? this.#chains : []);
    if (this.#hasEpoch) this.#reconciler.contribute('policy epoch', policies.isActive ? planEpoch(1, defaultConnmarkMask) : []);
    for (const [owner, items] of [...this.#services.changes(), ...policies.changes()]) this.#reconciler.contribute(owner, items);
    const result = this.#reconciler.sync();
    if (result.failures.length > 0) throw result.failures[0]!.error;
    return result;
  }
}

const nothing = (cluster: Cluster): Cluster => ({
  ...cluster,
  ...{ services: [], slices: [] },
  world: { ...cluster.world, pods: [], policies: [], given: [], nodes: [], namespaces: new Map() },
});

/** A kernel in memory that takes all that NftWriter writes. */
const inMemory = (): Reconciler =>
  new Reconciler([
    { kinds: new Set(['nft-table', 'nft-chain', 'nft-set', 'nft-element', 'nft-counter']), observe: () => [], apply: () => [] },
  ]);

const text = ({ verb, kind, name, key, data, before }: ElementChange): string =>
  [verb, kind, name, key, data, before].filter((part) => part !== undefined).join(' | ');
const written = (operations: ReturnType<Reconciler['sync']>['operations']): string[] =>
  operations
    .map((operation) => {
      const item = operation.verb === 'delete' ? operation.actual : operation.item;
      const isReplaced = operation.verb === 'replace' && operation.actual.kind === 'nft-element';
      const { set, key, data } = item as NftElement;
      const kind = item.kind.slice(4) as ElementChange['kind'];
      if (item.kind !== 'nft-element') return text({ verb: operation.verb, kind, name: (item as { name: string }).name });
      const was = isReplaced ? { before: (operation.actual as NftElement).data } : {};
      return text({ verb: operation.verb, kind, name: set, key, ...(data === undefined ? {} : { data }), ...was });
    })
    .sort();

function clusters({ before, after }: World): { now: Cluster; later: Cluster } {
  const now = clusterOf(before, readCluster(before));
  return { now, later: clusterAfter(now, after, readCluster(after)) };
}

/** Holds what is told of a change against what the agent of each node then has written. @returns how many elements were told, for each node */
function agrees({ now, later }: ReturnType<typeof clusters>, seed: number): number[] {
  const settings = nodeSettings(now);
  const prediction = predict(settings, now, later);
  return settings.map((setting, index) => {
    const agent = new Agent(setting, inMemory());
    agent.become(nothing(now), now);
    const { operations } = agent.become(now, later);
    const told = prediction.nodes[index]!.elements;
    assert.deepEqual(told.map(text).sort(), written(operations), `seed ${seed}, ${setting.service.name}`);
    return told.length;
  });
}

test('what is told of generated changes is what planners that hear of them event by event have written, element by element', () => {
  const told = Array.from({ length: 300 }, (_, i) => agrees(clusters(randomChange(i + 1)), i + 1)).flat();
  const elements = told.reduce((sum, count) => sum + count, 0);
  const quiet = told.filter((count) => count === 0).length;
  assert.ok(elements > 3000 && quiet < 100, `${elements} elements, ${quiet} nodes without any`);
});

/** So many rules that name everything but one address each: 230 of them and more are over the limit of networks of a namespace. */
const excepting = (name: string, rules: number): AnyObject =>
  ({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { namespace: 'red', name } },
    spec: {
      podSelector: {},
      ingress: Array.from({ length: rules }, (_, i) => ({
        from: [{ ipBlock: { cidr: '0.0.0.0/0', except: [`203.${name.charCodeAt(0)}.${i >> 8}.${i & 255}/32`] } }],
        ports: [{ port: 1 + (i % 3) }],
      })),
    },
  }) as AnyObject;

test('the same where rules are closed and opened again, since a namespace comes over the limit of networks and below it', () => {
  let closed = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const random = new Random(seed);
    const { before, after } = randomChange(seed);
    const both = clusters({
      before: [...before, excepting('a', random.pick([100, 230])), excepting('b', 120)],
      after: [...after, excepting('a', random.pick([90, 240])), excepting('b', random.pick([10, 120]))],
    });
    for (const { world } of [both.now, both.later]) if (world.policies.some((policy, i) => policy !== world.given[i])) closed++;
    agrees(both, seed);
  }
  assert.ok(closed > 4 && closed < 24, `${closed} of 24 are closed`);
});

test('nothing is told when nothing changes', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { before } = randomChange(seed);
    const { now, later } = clusters({ before, after: before.toReversed() });
    const { services, nodes } = predict(nodeSettings(now), now, later);
    assert.deepEqual([services, nodes.flatMap(({ elements }) => elements)], [[], []], `seed ${seed}`);
  }
});

const read = (nft: Nft): NodeNetwork => {
  const { content } = nft.read('podnet');
  return new Map(content ? Array.from(itemsOf(content, 'inet'), (item) => [keyOf(item), item]) : []);
};

/** What differs between two states of a kernel, found without any of podnet's diffs. */
function differs(before: NodeNetwork, after: NodeNetwork): string[] {
  const all = new Set([...before.keys(), ...after.keys()]);
  const found: string[] = [];
  for (const key of all) {
    const [was, is] = [before.get(key), after.get(key)];
    const item = (is ?? was)!;
    // Of chains it is enough that they are there; the kernel writes rules in its own way. Those of the epoch follow each change, and are not told.
    if (item.kind === 'nft-chain' && ['policy-known', 'policy-settle'].includes(item.name)) continue;
    if (item.kind !== 'nft-element') {
      if (!was || !is)
        found.push(
          text({ verb: is ? 'add' : 'delete', kind: item.kind.slice(4) as 'set', name: (item as { name: string }).name }),
        );
      continue;
    }
    const [old, now] = [was, is] as (NftElement | undefined)[];
    if (old && now && old.data === now.data) continue;
    const data = (now ?? old)!.data;
    const verb = old && now ? 'replace' : now ? 'add' : 'delete';
    const more = { ...(data === undefined ? {} : { data }), ...(verb === 'replace' ? { before: old!.data } : {}) };
    found.push(text({ verb, kind: 'element', name: item.set, key: item.key, ...more }));
  }
  return found.sort();
}

test('a real kernel holds afterwards what was told before, from what it held then', needsRoot, () => {
  using world = new TestWorld('predict');
  for (let seed = 1; seed <= 12; seed++) {
    const { now, later } = clusters(randomChange(seed));
    const [setting] = nodeSettings(now);
    const { ns } = world.namespace(`n${seed}`);
    using nft = Nft.open(ns);
    using reader = Nft.open(ns);
    const agent = new Agent(setting!, new Reconciler([new NftWriter(nft)]), true);
    agent.become(nothing(now), now);
    const held = read(reader);
    const [told] = predict([{ ...setting!, held }], now, later).nodes;
    assert.equal(told!.missing, 0, `seed ${seed}`);
    agent.become(now, later);
    assert.deepEqual(told!.elements.map(text).sort(), differs(held, read(reader)), `seed ${seed}`);
  }
});
