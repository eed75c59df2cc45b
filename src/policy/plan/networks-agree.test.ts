import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { NftElement } from '../../reconcile/model.ts';
import { policyName } from '../model.ts';
import { type AnyObject, readPolicy } from '../policies.ts';
import { readWorld } from '../read-world.ts';
import { meaningOf } from '../testkit/meaning.ts';
import { Random } from '../testkit/random.ts';
import { randomNetworksCase, randomNetworksPolicy } from '../testkit/random-networks.ts';
import { withMost } from '../testkit/with-most.ts';
import { defaultConnmarkMask, markOf } from './chains/epoch.ts';
import { holdAgainst } from './testkit/agree.ts';
import { changeSomething, type Objects, objectsOf, PlannedCluster } from './testkit/planned.ts';
import { TrafficSets } from './local/traffic-sets.ts';

/** Others by the environment, for a longer look: PODNET_SEED=1000 PODNET_WORLDS=500. */
const first = Number(process.env.PODNET_SEED ?? 1);
const worlds = Number(process.env.PODNET_WORLDS ?? 25);
const nodes = ['n1', 'n2'];
const podCidrs = ['10.0.0.0/28', 'fd00::/124'];

/** Policies as they are given: of a world they are what the limits leave of them. */
const given = (objects: readonly AnyObject[]): Objects => ({
  ...objectsOf(readWorld(objects)),
  policies: new Map(objects.flatMap((object) => readPolicy(object) ?? []).map((policy) => [policyName(policy), policy])),
});

const isUnknown = ({ world }: PlannedCluster, address: IpAddr, cidrs: readonly string[] = []): boolean =>
  cidrs.some((cidr) => Prefix.parse(cidr).contains(address)) && !world.podAt.has(`${address}`);

const meaningAt = (cluster: PlannedCluster, node: string): string[] =>
  meaningOf(cluster.elementsOf(node).filter((item): item is NftElement => item.kind === 'nft-element'));

/** With limits so low that some of the policies are over them, and come back below. */
for (const [name, limits] of Object.entries({
  usual: undefined,
  networks: { overlap: { namespace: 25, cluster: 12 } },
  peers: { peers: { namespace: 3, cluster: 3 } },
  ports: { ports: { namespace: 40, cluster: 25_000 } },
}))
  test(`what nodes plan of networks that overlap and share edges does what the specification says, and is the same whatever happened before${limits ? `, over the limit of ${name} too` : ''}: ${worlds} worlds`, () => {
    const counts = { crossed: 0, denied: 0, closed: 0, opened: 0 };
    withMost(limits ?? {}, () => {
      for (let seed = first; seed < first + worlds; seed++) {
        const { objects, packets } = randomNetworksCase(seed, 10);
        const random = new Random(seed);
        const options = seed % 4 === 0 ? { podCidrs } : {};
        const cluster = new PlannedCluster(nodes, { ...options, traffic: () => new TrafficSets(40) });
        cluster.tell(given(objects), random);
        const more = given(randomNetworksCase(seed + 100_000).objects);
        let over = 0;
        for (let step = 0; step <= 5; step++) {
          for (let i = 0; step > 0 && i < random.whole(1, 3); i++)
            if (random.chance(0.4)) {
              const namespaces = [...cluster.objects.namespaces.keys()];
              cluster.setPolicy(readPolicy(randomNetworksPolicy(random, random.pick(namespaces), `nets${random.whole(0, 5)}`))!);
            } else changeSomething(cluster, random, more);
          const tracers = cluster.next();
          const { world, epoch } = cluster;
          const now = world.policies.flatMap(({ rules }) => [...(rules.egress ?? []), ...(rules.ingress ?? [])]).filter(({ isOverLimit }) => isOverLimit).length;
          if (now > over) counts.closed++;
          if (now < over) counts.opened++;
          over = now;
          try {
            for (const packet of packets) {
              const unknown = [packet.source, packet.destination].some((one) => isUnknown(cluster, one, options.podCidrs));
              const asked = holdAgainst(world, tracers, epoch, packet, markOf(epoch - 1, defaultConnmarkMask), unknown);
              if (asked.crosses) counts.crossed++;
              if (asked.crosses && asked.denied) counts.denied++;
            }
            const fresh = new PlannedCluster(nodes, options);
            fresh.tell(cluster.objects, random);
            for (const [name, addresses] of world.resolved) fresh.setResolved(name, addresses);
            fresh.update();
            for (const node of nodes) assert.deepEqual(meaningAt(cluster, node), meaningAt(fresh, node), node);
          } catch (error) {
            throw new Error(`seed ${seed}, ${step} changes: ${(error as Error).message}`, { cause: error });
          }
        }
      }
    });
    const { crossed, denied, closed, opened } = counts;
    assert.ok(crossed > worlds * 20 && denied > crossed / 8 && denied < crossed * 0.9, JSON.stringify(counts));
    assert.ok(limits ? closed > worlds / 4 && opened > worlds / 10 : closed === 0, JSON.stringify(counts));
  });
