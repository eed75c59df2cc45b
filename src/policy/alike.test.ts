import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { compare } from './compare.ts';
import { matrixOf } from './matrix.ts';
import { cidrsOf, type Party, partiesOf } from './parties.ts';
import { type AnyObject, readPolicy } from './policies.ts';
import { readParts } from './read-world.ts';
import { changesOneByOne, matrixOneByOne, outsideOneByOne } from './testkit/one-by-one.ts';
import { Random, randomCase } from './testkit/random.ts';
import { randomNetworksCase } from './testkit/random-networks.ts';
import { makeWorld, type PolicyPod, type World } from './world.ts';

const names = ['podnet.dev', 'a.podnet.dev', 'b.a.podnet.dev'];
const outside = ['203.0.113.5', '198.51.100.9', '10.0.0.3', '10.0.0.4', '2001:db8:ffff::1', 'fd00::3', '192.0.2.1'];

/** Policies that accept by names of the outside, and what these names mean. */
const domainPolicy = (random: Random, index: number): AnyObject => ({
  ...{ apiVersion: 'policy.networking.k8s.io/v1alpha2', kind: 'ClusterNetworkPolicy', metadata: { name: `names${index}` } },
  spec: {
    ...{ tier: random.pick(['Admin', 'Baseline']), priority: random.whole(0, 5), subject: { namespaces: {} } },
    egress: [
      {
        action: 'Accept',
        to: random.times(1, 2, () => ({ domainNames: [random.pick([...names, '*.podnet.dev', '*.a.podnet.dev'])] })),
        ...(random.chance(0.5) ? { protocols: [{ tcp: { destinationPort: { number: random.pick([80, 443]) } } }] } : {}),
      },
      { action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] },
    ],
  },
});

interface Worlds {
  before: World;
  after: World;
}

/** Pods are of few workloads, so that some share a label; now and then two say they have one address, or one says it has a node's. */
function changedPods(pods: readonly PolicyPod[], random: Random): PolicyPod[] {
  return pods.map((pod): PolicyPod => {
    const workload = random.chance(0.6) ? { workload: `Deployment/${random.pick(['w', 'v'])}` } : {};
    const other = random.chance(0.04) ? random.pick(pods).addresses : random.chance(0.02) ? [IpAddr.parse('192.0.2.1')] : pod.addresses;
    return { ...pod, ...workload, addresses: other, created: random.whole(1, 3), ...(random.chance(0.05) ? { node: undefined } : {}) };
  });
}

function randomWorlds(seed: number): Worlds {
  const random = new Random(seed);
  const { objects } = random.chance(0.5) ? randomCase(seed) : randomNetworksCase(seed);
  const parts = readParts([...objects, ...random.times(0, 2, (index) => domainPolicy(random, index))]);
  const resolvedNow = (): World['resolved'] => new Map(names.map((name) => [name, random.times(0, 2, () => IpAddr.parse(random.pick(outside)))]));
  const pods = changedPods(parts.pods, random);
  const more = randomCase(seed + 1_000_000).objects.flatMap((object) => readPolicy(object) ?? []);
  const before = makeWorld({ ...parts, pods, resolved: resolvedNow() });
  const policies = [...parts.policies.filter(() => random.chance(0.7)), ...more.slice(0, 2).map((one) => ({ ...one, name: `new-${one.name}` }))];
  const relabelled = pods.filter(() => random.chance(0.9)).map((pod) => (random.chance(0.2) ? { ...pod, labels: { app: random.pick(['a', 'b']) } } : pod));
  return { before, after: makeWorld({ ...parts, pods: relabelled, policies, resolved: random.chance(0.5) ? resolvedNow() : before.resolved }) };
}

test('the matrix found by index is that of each party held against each peer and of each pair asked of the evaluator', () => {
  let cells = 0;
  for (let seed = 1; seed <= 70; seed++) {
    const { before } = randomWorlds(seed);
    const found = matrixOf(before, { nodes: true });
    const expected = matrixOneByOne(before, () => true);
    assert.deepEqual(found.ends, expected.ends, `seed ${seed}`);
    assert.deepEqual([...found.cells], expected.cells, `seed ${seed}`);
    cells += expected.cells.length;
  }
  assert.ok(cells > 4000, `${cells}`);
});

test('what a change opens and closes, found by index, is what each pair asked before and after it gives, in the same order', () => {
  let changes = 0;
  for (let seed = 1; seed <= 70; seed++) {
    const { before, after } = randomWorlds(seed);
    const expected = changesOneByOne(before, after);
    assert.deepEqual(compare(before, after).changes, expected, `seed ${seed}`);
    changes += expected.length;
  }
  assert.ok(changes > 1000, `${changes}`);
});

test('the outside is cut as by each CIDR held against each other one', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = new Random(seed);
    const { before } = randomWorlds(seed);
    const nested = random.times(0, 40, () => {
      const address = IpAddr.parse(random.pick(['10.0.0.0', '10.0.0.9', '10.0.1.0', '192.0.2.0', 'fd00::', 'fd00::9', '2001:db8::']));
      return Prefix.of(address, address.family === 'ipv4' ? random.whole(0, 32) : random.pick([0, 16, 48, 64, 120, 124, 126, 127, 128]));
    });
    const cidrs = [...cidrsOf(before), ...nested];
    const outsideOf = (parties: readonly Party[]): Party[] => parties.filter(({ kind }) => kind === 'outside');
    assert.deepEqual(outsideOf(partiesOf(before, cidrs)), outsideOneByOne(before, cidrs), `seed ${seed}`);
  }
});
