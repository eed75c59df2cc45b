import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prefix } from '../../net/prefix.ts';
import { readWorld } from '../read-world.ts';
import { Random, randomCase } from '../testkit/random.ts';
import { hasIdentity } from '../world.ts';
import { defaultConnmarkMask, markOf } from './chains/epoch.ts';
import { holdAgainst, holdDnsAgainst } from './testkit/agree.ts';
import { changeSomething, dnsPod, objectsOf, PlannedCluster } from './testkit/planned.ts';

/** So many worlds, each with packets before and after changes: 10,000 cases and more. */
const worlds = 250;
const changes = 3;
const packetsEach = 6;

for (const namespacedOnly of [true, false]) {
  const which = namespacedOnly ? 'NetworkPolicies' : 'policies of all kinds';
  test(`what nodes plan of ${which} does what the specification says, from the start and after each change: ${worlds} worlds`, () => {
    const counts = { crossed: 0, denied: 0 };
    for (let seed = 1; seed <= worlds; seed++) {
      const { objects, packets } = randomCase(seed, { packets: packetsEach, namespacedOnly });
      const random = new Random(seed);
      const cluster = new PlannedCluster(['n1', 'n2']);
      cluster.tell(objectsOf(readWorld(objects)), random);
      const more = objectsOf(readWorld(randomCase(seed + 100_000, { namespacedOnly }).objects));
      for (let step = 0; step <= changes; step++) {
        if (step > 0) changeSomething(cluster, random, more, namespacedOnly);
        const tracers = cluster.next();
        const { world, epoch } = cluster;
        for (const packet of packets) {
          try {
            const asked = holdAgainst(world, tracers, epoch, packet, markOf(epoch - 1, defaultConnmarkMask));
            if (asked.crosses) counts.crossed++;
            if (asked.crosses && asked.denied) counts.denied++;
          } catch (error) {
            throw new Error(`seed ${seed}, ${step} changes: ${(error as Error).message}`, { cause: error });
          }
        }
      }
    }
    const { crossed, denied } = counts;
    assert.ok(crossed > worlds * 8 && denied > crossed / 6 && denied < crossed * 0.8, JSON.stringify(counts));
  });
}

test('what nodes plan lets nobody through who is in a pod network and not known yet, where the specification would not, and keeps others as they are', () => {
  const podCidrs = ['10.0.0.0/24', 'fd00::/64'];
  const counts = { unknown: 0, closed: 0 };
  for (let seed = 1; seed <= 100; seed++) {
    const { objects, packets } = randomCase(seed, { packets: 12 });
    const cluster = new PlannedCluster(['n1', 'n2'], { podCidrs });
    cluster.tell(objectsOf(readWorld(objects)), new Random(seed));
    const tracers = cluster.next();
    const { world, epoch } = cluster;
    for (const packet of packets) {
      const unknown = [packet.source, packet.destination].some(
        (one) => podCidrs.some((cidr) => Prefix.parse(cidr).contains(one)) && !world.podAt.has(`${one}`),
      );
      if (unknown) counts.unknown++;
      const asked = holdAgainst(world, tracers, epoch, packet, 0, unknown);
      if (unknown && asked.crosses) counts.closed++;
    }
  }
  assert.ok(counts.unknown > 25 && counts.closed > 10, JSON.stringify(counts));
});

test('what nodes plan of cluster DNS does what the specification says of the pod that stands for it, answered here or led to another node', () => {
  const counts = { asked: 0, denied: 0 };
  for (let seed = 1; seed <= 100; seed++) {
    const { objects } = randomCase(seed);
    const cluster = new PlannedCluster(['n1', 'n2'], { dns: true });
    cluster.tell(objectsOf(readWorld(objects)), new Random(seed));
    const tracers = cluster.next();
    const { world } = cluster;
    for (const pod of world.pods.filter((one) => hasIdentity(one) && one.node !== undefined)) {
      const elsewhere = world.nodes.find(({ name }) => name !== pod.node)!;
      const { asked, denied } = holdDnsAgainst(world, tracers, pod, dnsPod, elsewhere);
      counts.asked += asked;
      counts.denied += denied;
    }
  }
  assert.ok(counts.asked > 1500 && counts.denied > counts.asked / 10, JSON.stringify(counts));
});
