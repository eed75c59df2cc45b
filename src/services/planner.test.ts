import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EndpointSlice, Service } from '../kube/types.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { type Item, keyOf, type NftElement, type NodeNetwork } from '../reconcile/model.ts';
import type { ServiceNode } from './node.ts';
import { ServicePlanner } from './planner.ts';
import { affinityClass, classOf } from './values.ts';

const node: ServiceNode = {
  ...{ name: 'n1', addresses: ['192.168.0.1', 'fd00:192::1'].map(IpAddr.parse) },
  ...{ podCidrs: [Prefix.parse('10.244.1.0/24')], serviceCidrs: [Prefix.parse('10.96.0.0/16')] },
};

/** The kernel of a node, for the elements alone: what was planned last by each owner. */
class Model {
  readonly planner: ServicePlanner;
  readonly #plans = new Map<string, Item[]>();

  constructor(held: NodeNetwork = new Map(), services: Service[] = [], slices: EndpointSlice[] = []) {
    this.planner = new ServicePlanner({ node, services, slices, held });
    this.take();
  }

  take(): void {
    for (const [owner, items] of this.planner.take()) this.#plans.set(owner, items);
  }

  network(): Map<string, Item> {
    return new Map([...this.#plans.values()].flat().map((item) => [keyOf(item), item]));
  }

  /** Elements by key with their data. */
  elements(): Map<string, string | undefined> {
    const found = [...this.network()].filter(([, item]) => item.kind === 'nft-element');
    return new Map(found.map(([key, item]) => [key, (item as NftElement).data]));
  }

  /** Elements that differ from those of before. */
  changedSince(before: ReadonlyMap<string, string | undefined>): string[] {
    const now = this.elements();
    return [...new Set([...before.keys(), ...now.keys()])].filter((key) => !(before.has(key) && now.has(key) && before.get(key) === now.get(key)));
  }

  /** Where each destination leads, without the numbers in between: the endpoints by slot are a set. */
  meaning(): string[] {
    const elements = this.elements();
    const at = (set: string, key: string): string => elements.get(`nft-element ${set} ${key}`) ?? '?';
    const endpoints = new Map<string, string[]>();
    for (const [key, number] of elements) {
      const slot = /^nft-element (?:slots4|affinity-slots) (\S+) \. /.exec(key);
      if (!slot) continue;
      const list = endpoints.get(slot[1]!) ?? [];
      endpoints.set(slot[1]!, [...list, number!.includes(' . ') ? number! : at('endpoints4', number!)]);
    }
    const setOf = (value: string): string => `${value.split(':')[0]}:${((Number.parseInt(value.split(':')[1]!, 16) >> 13) << 13).toString(16)}`;
    return [...elements]
      .flatMap(([key, data]): string[] => {
        if (/^nft-element (slots4|affinity-slots|endpoints4|affinity-counts) /.test(key)) return [];
        const isLead = /^nft-element (service-ips|nodeports|nodeports-outside|external-ports|external-outside)4 /.test(key);
        if (!isLead) return [`${key} ${data ?? ''}`];
        const low = Number.parseInt(data!.split(':')[1]!, 16) & 0x1fff;
        const members = (endpoints.get(setOf(data!)) ?? []).sort();
        if (low < affinityClass(0)) assert.equal(low, classOf(members.length), key);
        return [`${key} ${low >= affinityClass(0) ? `class ${low}` : ''} ${members}`];
      })
      .sort();
  }
}

const service = (n: number, spec: Service['spec'] = {}): Service => ({
  metadata: { namespace: 'default', name: `s${n}` },
  spec: {
    ...{ type: 'NodePort', clusterIPs: [`10.96.${n >> 8}.${n & 255}`], ports: [{ port: 80, nodePort: 30_000 + n }], ...spec },
  },
});
const slice = (n: number, part: string, pods: readonly number[]): EndpointSlice => ({
  metadata: { namespace: 'default', name: `s${n}-${part}`, labels: { 'kubernetes.io/service-name': `s${n}` } },
  ...{ addressType: 'IPv4', ports: [{ port: 8080 }] },
  endpoints: pods.map((pod) => ({ addresses: [`10.244.${pod >> 8}.${pod & 255}`], nodeName: pod % 2 === 0 ? 'n1' : 'n2' })),
});

type Change = (planner: ServicePlanner) => void;
const number = fc.integer({ min: 1, max: 4 });
const spec = fc.constantFrom<Service['spec']>(
  ...[{}, { sessionAffinity: 'ClientIP' }, { externalTrafficPolicy: 'Local' }, { internalTrafficPolicy: 'Local' }],
  { sessionAffinity: 'ClientIP', externalTrafficPolicy: 'Local', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } },
);
const pods = fc.uniqueArray(fc.integer({ min: 300, max: 312 }), { maxLength: 8 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(number, spec).map(([n, of]): Change => (planner) => planner.setService(service(n, of))),
  number.map((n): Change => (planner) => planner.deleteService('default', `s${n}`)),
  fc.tuple(number, fc.constantFrom('a', 'b'), pods).map(([n, part, of]): Change => (planner) => planner.setSlice(slice(n, part, of))),
  fc.tuple(number, fc.constantFrom('a', 'b')).map(([n, part]): Change => (planner) => planner.deleteSlice('default', `s${n}-${part}`)),
);

test('the same objects end in the same plan, whatever came before, in whatever order, in batches of any size', () => {
  const state = fc.uniqueArray(fc.tuple(number, spec, pods, pods), { selector: ([n]) => n, maxLength: 4 });
  fc.assert(
    fc.property(state, fc.array(fc.tuple(change, fc.boolean()), { maxLength: 30 }), fc.infiniteStream(fc.nat()), (objects, noise, random) => {
      const services = objects.map(([n, of]) => service(n, of));
      const slices = objects.flatMap(([n, , a, b]) => [slice(n, 'a', a), slice(n, 'b', b)]);
      const straight = new Model(new Map(), services, slices);
      const crooked = new Model();
      for (const [apply, take] of noise) {
        apply(crooked.planner);
        if (take) crooked.take();
      }
      for (const n of [1, 2, 3, 4]) {
        if (!objects.some(([m]) => m === n)) crooked.planner.deleteService('default', `s${n}`);
        for (const part of ['a', 'b']) crooked.planner.deleteSlice('default', `s${n}-${part}`);
      }
      const last = [...services.map((one): Change => (p) => p.setService(one)), ...slices.map((one): Change => (p) => p.setSlice(one))];
      const order = last.map((apply) => ({ apply, at: random.next().value as number })).sort((a, b) => a.at - b.at);
      for (const { apply, at } of order) {
        apply(crooked.planner);
        if (at % 3 === 0) apply(crooked.planner);
        if (at % 2 === 0) crooked.take();
      }
      crooked.take();
      // Which class a timeout has depends on what came before.
      const plain = (model: Model): string[] => model.meaning().map((line) => line.replace(/class \d+|nft-element balancers 0:1c\w\w/, '')).sort();
      assert.deepEqual(plain(crooked), plain(straight));
    }),
    { numRuns: 1000 },
  );
});

test('SD22: from what the kernel holds a planner plans the same again, to the last number, and other objects only differ where they do', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), change, (changes, last) => {
      const before = new Model();
      const services = new Map<string, Service>();
      const slices = new Map<string, EndpointSlice>();
      const record = {
        setService: (one: Service) => void services.set(one.metadata.name!, one),
        deleteService: (_: string, name: string) => void services.delete(name),
        setSlice: (one: EndpointSlice) => void slices.set(one.metadata.name!, one),
        deleteSlice: (_: string, name: string) => void slices.delete(name),
      } as unknown as ServicePlanner;
      for (const apply of changes) {
        apply(before.planner);
        apply(record);
        before.take();
      }
      const again = new Model(before.network(), [...services.values()], [...slices.values()]);
      assert.deepEqual(again.changedSince(before.elements()), []);
      last(before.planner);
      before.take();
      last(record);
      const other = new Model(again.network(), [...services.values()], [...slices.values()]);
      assert.deepEqual(other.meaning(), before.meaning());
    }),
    { numRuns: 500 },
  );
});

test('a change writes its own few elements, whatever the number of Services and endpoints', () => {
  const changes: Record<string, (planner: ServicePlanner) => void> = {
    'a slot replaced': (planner) => planner.setSlice(slice(1, 'a', [...ten.slice(1), 999])),
    'one endpoint more': (planner) => planner.setSlice(slice(1, 'a', [...ten, 999])),
    'one endpoint less': (planner) => planner.setSlice(slice(1, 'a', ten)),
    'a Service more': (planner) => planner.setService(service(60_000, { type: 'ClusterIP' })),
    'the timeout of an affinity': (planner) => planner.setService(service(2, { ...sticky, sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } })),
  };
  const ten = Array.from({ length: 10 }, (_, i) => 300 + 2 * i + 1);
  const sticky = { sessionAffinity: 'ClientIP' };
  const written = (count: number): Record<string, number> => {
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    const model = new Model(new Map(), numbers.map((n) => service(n, n % 2 === 0 ? sticky : {})), numbers.map((n) => slice(n, 'a', ten)));
    return Object.fromEntries(
      Object.entries(changes).map(([name, apply]) => {
        const before = model.elements();
        apply(model.planner);
        model.take();
        return [name, model.changedSince(before).length];
      }),
    );
  };
  const few = written(10);
  assert.deepEqual(written(1000), few);
  assert.deepEqual(few, {
    // What its slot leads to.
    'a slot replaced': 1,
    // Its slot, and the number behind the ClusterIP and the node port.
    'one endpoint more': 3,
    // One more: who was in the last slot takes the place.
    'one endpoint less': 4,
    // Its ClusterIP, which refuses.
    'a Service more': 1,
    // Three hours are what it has anyway.
    'the timeout of an affinity': 0,
  });
});

test('SA16, T19: an endpoint keeps its place while it is there, and a place that was left is given again last', () => {
  const model = new Model(new Map(), [service(1, { sessionAffinity: 'ClientIP' })], [slice(1, 'a', [301, 303, 305])]);
  const places = (): Map<string, string> =>
    new Map([...model.elements()].flatMap(([key, data]) => (key.startsWith('nft-element endpoints4') ? [[data!, key.split(' ')[2]!]] : [])));
  const first = places();
  for (const left of [[303, 305], [305, 301], [307, 305], [305]]) {
    model.planner.setSlice(slice(1, 'a', left));
    model.take();
    assert.equal(places().get('10.244.1.49 . 8080'), first.get('10.244.1.49 . 8080'));
    for (const [endpoint, place] of places()) if (first.get(endpoint) !== place) assert.ok(![...first.values()].includes(place), `${endpoint} at ${place}`);
  }
});
