import assert from 'node:assert/strict';
import type net from 'node:net';
import { test } from 'node:test';
import { needsRoot } from '../../testing/root.ts';
import { evaluate } from '../evaluate.ts';
import type { Packet } from '../packet.ts';
import { readWorld } from '../read-world.ts';
import { Random, randomCase } from '../testkit/random.ts';
import type { World } from '../world.ts';
import { crossingsOf } from './testkit/cluster.ts';
import { changePolicies, objectsOf, PlannedCluster } from './testkit/planned.ts';
import { carries, RealNode } from './testkit/real.ts';

const node = 'n1';
const worlds = 8;

/** What this node is to let pass: the side that is its pod's; the other node is none here. */
function may(world: World, packet: Packet): boolean {
  const { egress, ingress } = evaluate(world, packet);
  const isHere = (address: Packet['source']): boolean => world.podAt.get(`${address}`)?.node === node;
  return (!isHere(packet.source) || egress.allowed) && (!isHere(packet.destination) || ingress.allowed);
}

test(
  `NP9, NP14: real packets of generated clusters pass as the specification says, and open connections are cut or kept as it says after changes: ${worlds} worlds`,
  needsRoot,
  async () => {
    const counts = { asked: 0, denied: 0, cut: 0, kept: 0 };
    for (let seed = 1; seed <= worlds; seed++) {
      const { objects, packets: all } = randomCase(seed, { packets: 60 });
      const cluster = new PlannedCluster([node]);
      const random = new Random(seed);
      cluster.tell(objectsOf(readWorld(objects)), random);
      const more = objectsOf(readWorld(randomCase(seed + 100_000).objects));
      const start = cluster.world;
      // SCTP is no part of every kernel; who asks itself asks within its namespace.
      const packets = all.filter(({ viaService, ...packet }) => {
        const local = crossingsOf(start, packet).some((crossing) => crossing.node === node);
        return !viaService && packet.protocol !== 'SCTP' && local && `${packet.source}` !== `${packet.destination}`;
      });
      await using real = new RealNode(
        start,
        node,
        packets.flatMap(({ source, destination }) => [source, destination]),
      );
      for (const packet of packets) await real.serve(packet);
      let open: { packet: Packet; socket: net.Socket }[] = [];
      for (let step = 0; step < 4; step++) {
        for (let i = 0; i < step * 3; i++) changePolicies(cluster, random, more);
        cluster.update();
        real.write(cluster.elementsOf(node), cluster.epoch);
        const { world } = cluster;
        const told = (packet: Packet, what: string): string => {
          const { source, destination, protocol, port = '' } = packet;
          return `seed ${seed}, ${step} times changed: ${what} ${source} to ${destination} ${protocol} ${port}`;
        };
        const ends = await Promise.all(open.map(async ({ packet, socket }) => ({ packet, end: await carries(socket) })));
        for (const { packet, end } of ends) {
          assert.equal(end, may(world, packet) ? 'carries' : 'reset', told(packet, 'open'));
          counts[end === 'carries' ? 'kept' : 'cut']++;
        }
        for (const { socket } of open) socket.destroy();
        const answers = await Promise.all(
          packets.map(async (packet) => ({ packet, answer: await real.passes(packet, may(world, packet)) })),
        );
        for (const { packet, answer } of answers) {
          assert.equal(answer !== false, may(world, packet), told(packet, 'new'));
          counts.asked++;
          if (answer === false) counts.denied++;
        }
        open = answers.flatMap(({ packet, answer }) => (typeof answer === 'object' ? [{ packet, socket: answer }] : []));
      }
    }
    assert.ok(
      counts.denied > counts.asked / 10 && counts.denied < counts.asked * 0.8 && counts.cut > 0 && counts.kept > 10,
      JSON.stringify(counts),
    );
  },
);
