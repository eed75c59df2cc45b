import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { Nft } from '../kernel/nftables/index.ts';
import { type Item, keyOf, type NftElement, NftWriter, Reconciler } from '../reconcile/index.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import type { ServiceNode } from './node.ts';
import { ServicePlanner } from './planner.ts';

const node: ServiceNode = {
  ...{ name: 'n1', zone: 'a', addresses: ['192.168.0.1', 'fd00:192::1'].map(IpAddr.parse) },
  ...{ podCidrs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(Prefix.parse), serviceCidrs: ['10.96.0.0/16', 'fd00:96::/112'].map(Prefix.parse) },
};

/** Numbers below a limit, the same ones for the same seed (mulberry32): a failure can be played again. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

type Thing = { service: Service; slice?: undefined } | { slice: EndpointSlice; service?: undefined };

/** Services of every kind, in both families. */
function service(number: number, next: (limit: number) => number): Service {
  const isOut = number % 3 === 0;
  return {
    metadata: { namespace: 'default', name: `s${number}` },
    spec: {
      type: isOut ? (number % 2 ? 'LoadBalancer' : 'NodePort') : 'ClusterIP',
      clusterIPs: [`10.96.0.${10 + number}`, `fd00:96::${(10 + number).toString(16)}`],
      ports: [
        { name: 'a', port: 80 + next(2), protocol: 'TCP', ...(isOut ? { nodePort: 30_000 + number } : {}) },
        { name: 'b', port: 53, protocol: 'UDP', ...(isOut ? { nodePort: 30_000 + number } : {}) },
      ],
      sessionAffinity: number % 4 === 1 ? 'ClientIP' : 'None',
      internalTrafficPolicy: number % 5 === 2 ? 'Local' : 'Cluster',
      externalTrafficPolicy: isOut && next(2) ? 'Local' : 'Cluster',
    },
    ...(isOut && number % 2 ? { status: { loadBalancer: { ingress: [{ ip: `198.51.100.${number}` }] } } } : {}),
  };
}

function slice(number: number, place: number, family: 4 | 6, next: (limit: number) => number): EndpointSlice {
  const hosts = [...new Set(Array.from({ length: next(5) }, () => 2 + next(9)))];
  return {
    metadata: {
      ...{ namespace: 'default', name: `s${number}-${family}-${place}` },
      labels: { 'kubernetes.io/service-name': `s${number}` },
    },
    addressType: family === 4 ? 'IPv4' : 'IPv6',
    ports: [
      { name: 'a', port: 8080, protocol: 'TCP' },
      { name: 'b', port: 5353, protocol: 'UDP' },
    ],
    endpoints: hosts.map((host) => {
      const here = host % 2;
      const ready = next(5) > 0;
      const address = family === 4 ? `10.244.${here ? 1 : 2}.${host}` : `fd00:244:${here ? 1 : 2}::${host.toString(16)}`;
      return { addresses: [address], nodeName: here ? 'n1' : 'n2', conditions: { ready, serving: ready || next(2) > 0, terminating: !ready } };
    }),
  };
}

/** A version of the whole: Services and so many slices of each family. */
const cluster = (services: number, slices: number, next: (limit: number) => number): Thing[] =>
  Array.from({ length: services }, (_, i) => i).flatMap((i) => [
    { service: service(i, next) },
    ...([4, 6] as const).flatMap((family) => Array.from({ length: slices }, (_, place) => ({ slice: slice(i, place, family, next) }))),
  ]);

function shuffled<T>(things: readonly T[], next: (limit: number) => number): T[] {
  const all = [...things];
  for (let i = all.length - 1; i > 0; i--) {
    const j = next(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

function set(planner: ServicePlanner, thing: Thing): void {
  if (thing.service) planner.setService(thing.service);
  else planner.setSlice(thing.slice);
}

function remove(planner: ServicePlanner, { service: one, slice: other }: Thing): void {
  if (one) planner.deleteService('default', one.metadata.name!);
  else planner.deleteSlice('default', other!.metadata.name!);
}

/** The same objects in any order, with others' versions, duplicates and deletions before and between; at times it is planned. */
function play(planner: ServicePlanner, wanted: readonly Thing[], seed: number, plan: () => void): void {
  const next = generator(seed);
  // More Services than are wanted, and more slices of those that are.
  const others = cluster(wanted.filter((thing) => thing.service).length + 2, 3, next);
  for (const thing of shuffled([...others, ...others.slice(0, 10)], next)) {
    if (next(4) === 0) remove(planner, thing);
    else set(planner, thing);
    if (next(8) === 0) plan();
  }
  const surplus = others.filter((thing) => !wanted.some((one) => nameOf(one) === nameOf(thing)));
  const steps = [...wanted, ...surplus].flatMap((thing): (() => void)[] =>
    surplus.includes(thing) ? [() => remove(planner, thing)] : [() => set(planner, thing)],
  );
  for (const step of shuffled([...steps, ...steps.slice(0, 10)], next)) {
    step();
    if (next(10) === 0) {
      // Gone for a moment, and back.
      const thing = wanted[next(wanted.length)]!;
      remove(planner, thing);
      if (next(2)) plan();
      set(planner, thing);
    }
    if (next(8) === 0) plan();
  }
  plan();
}

const nameOf = (thing: Thing): string => (thing.service ? `service ${thing.service.metadata.name}` : `slice ${thing.slice!.metadata.name}`);

const numbered = /^(slots[46]|affinity-slots|endpoints[46]|affinity-counts)$/;

/**
 * Elements as a sorted listing, without the numbers that podnet gives to sets, slots and endpoints: in place of a set's number stand the endpoints that it leads
 * to. Nothing that is listed may be left over: each slot, endpoint and count must belong to a set that something leads to.
 */
function listing(elements: readonly NftElement[]): string[] {
  const value = (text: string): number => {
    const [major = '', minor = ''] = text.split(':');
    return text === 'none' ? 0 : Number.parseInt(major, 16) * 65_536 + Number.parseInt(minor, 16);
  };
  const idOf = (text: string): number => Math.floor(value(text) / 8192);
  const endpoints = new Map(elements.filter(({ set: name }) => /^endpoints[46]$/.test(name)).map(({ key, data }) => [key, data]));
  const members = new Map<number, string[]>();
  const seen = new Set<number>();
  let [slots, numbers, counts] = [0, 0, new Map<number, number>()];
  for (const { set: name, key, data } of elements) {
    if (name === 'affinity-counts') counts.set(idOf(key), value(data!) % 8192);
    if (!/^(slots[46]|affinity-slots)$/.test(name)) continue;
    slots++;
    if (name === 'affinity-slots') numbers++;
    const endpoint = name === 'affinity-slots' ? endpoints.get(data!) : data;
    assert.notEqual(endpoint, undefined, `slot ${key} leads to an endpoint that is not there: ${data}`);
    const id = idOf(key.split(' . ')[0]!);
    members.set(id, [...(members.get(id) ?? []), endpoint!]);
  }
  const lines = elements.flatMap(({ set: name, key, data }): string[] => {
    // Chains for more endpoints than there are now, and for timeouts by number, are left where they are.
    if (numbered.test(name) || name === 'balancers' || name === 'pickers') return [];
    if (data === undefined || !/^(none|[0-9a-f]+:[0-9a-f]+)$/.test(data)) return [`${name} ${key} ${data ?? ''}`];
    const id = idOf(data);
    seen.add(id);
    const low = value(data) % 8192;
    const kind = low > 7167 ? `affinity of ${counts.get(id)}` : `${low}`;
    return [`${name} ${key} : ${kind} ${(members.get(id) ?? []).sort().join()}`];
  });
  const reached = [...seen].reduce((sum, id) => sum + (members.get(id)?.length ?? 0), 0);
  assert.equal(slots, reached, 'every slot belongs to a set that something leads to');
  assert.equal(endpoints.size, numbers, 'every endpoint with a number is in a slot');
  assert.ok([...counts.keys()].every((id) => seen.has(id)), 'every count belongs to such a set');
  return lines.sort();
}

const elementsOf = (items: Iterable<Item>): NftElement[] => [...items].filter((item) => item.kind === 'nft-element');

test('F38: the same objects in a thousand random orders, with duplicates and deletions in between, end in the same elements', () => {
  const wanted = cluster(6, 2, generator(1));
  let expected: string[] | undefined;
  for (let seed = 0; seed < 1000; seed++) {
    const planner = new ServicePlanner({ node, services: [], slices: [], held: new Map() });
    const plans = new Map<string, Item[]>();
    const plan = (): void => {
      for (const [owner, items] of planner.take()) plans.set(owner, items);
    };
    play(planner, wanted, seed, plan);
    const elements = new Map([...plans.values()].flat().map((item) => [keyOf(item), item]));
    const found = listing(elementsOf(elements.values()));
    expected ??= found;
    assert.ok(expected.length > 50);
    assert.deepEqual(found, expected, `seed ${seed}`);
  }
});

test('F38: the same objects in random orders end in the same kernel state, in nft’s own listing too', needsRoot, () => {
  const wanted = cluster(6, 2, generator(1));
  let expected: { elements: string[]; text: string[] } | undefined;
  for (let seed = 0; seed < 12; seed++) {
    using world = new TestWorld('services');
    const { ns, path } = world.namespace('node');
    using nft = Nft.open(ns);
    const reconciler = new Reconciler([new NftWriter(nft)]);
    const planner = new ServicePlanner({ node, services: [], slices: [], held: new Map() });
    play(planner, wanted, seed, () => {
      for (const [owner, items] of planner.take()) reconciler.contribute(owner, items);
      assert.deepEqual(reconciler.sync().failures, []);
    });
    // What the kernel tells, not what is remembered.
    const elements = listing(elementsOf(reconciler.observe().values()));
    const text = withoutNumbers(run(path, 'nft', 'list', 'table', 'inet', 'podnet'));
    expected ??= { elements, text };
    assert.deepEqual({ elements, text }, expected, `seed ${seed}`);
  }
});

/** Sets without data, and chains with their rules, in no order; what is numbered is judged by the elements. */
function withoutNumbers(text: string): string[] {
  return text
    .split('\n\t}\n')
    .map((block) => block.replace(/^.*?\t(set|map|chain)/s, '$1').trim())
    .filter((block) => !/^map (slots|endpoints|affinity|service-ips|nodeports|external|balancers|pickers)/.test(block))
    .filter((block) => !/^chain (lb|pick|affinity|sticky)-/.test(block))
    .map((block) =>
      block.replace(/elements = \{(.*)\}/s, (_, elements: string) => `elements = ${elements.split(',').map((one) => one.trim()).sort().join()}`),
    )
    .sort();
}
