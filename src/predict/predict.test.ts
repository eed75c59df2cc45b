import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nft } from '../kernel/nftables/index.ts';
import type { AnyObject } from '../policy/policies.ts';
import { Random } from '../policy/testkit/random.ts';
import { itemsOf, keyOf, type NftElement, NftWriter, type NodeNetwork, Reconciler } from '../reconcile/index.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { predict } from './predict.ts';
import { nodeSettings } from './settings.ts';
import { agrees, HearingAgent, nothing, text } from './testkit/hearing-agent.ts';
import { clusters, randomChange, randomPolicyChange } from './testkit/random-change.ts';

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

test('the same where policies alone change: nodes without pods that they select are told of nothing, and have nothing written', () => {
  const told = Array.from({ length: 300 }, (_, i) => agrees(clusters(randomPolicyChange(i + 1)), i + 1)).flat();
  const quiet = told.filter((count) => count === 0).length;
  assert.ok(quiet > told.length / 10 && quiet < told.length * 0.7, `${quiet} of ${told.length} nodes without any`);
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
    const agent = new HearingAgent(setting!, new Reconciler([new NftWriter(nft)]), true);
    agent.become(nothing(now), now);
    const held = read(reader);
    const [told] = predict([{ ...setting!, held }], now, later).nodes;
    assert.equal(told!.missing, 0, `seed ${seed}`);
    agent.become(now, later);
    assert.deepEqual(told!.elements.map(text).sort(), differs(held, read(reader)), `seed ${seed}`);
  }
});
