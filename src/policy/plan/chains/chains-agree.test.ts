import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../../net/ip.ts';
import { readWorld } from '../../read-world.ts';
import { randomCase } from '../../testkit/random.ts';
import { holdAgainst } from '../testkit/agree.ts';
import { bruteElements } from '../testkit/brute.ts';
import { TracedCluster } from '../testkit/cluster.ts';

/** Of the rules of `randomCase`: its ports, and ranges up to three behind them. */
const ports = [1, 2, 3, 4, 53, 54, 55, 56, 80, 81, 82, 83, 84, 85, 443, 444, 445, 446, 8080, 8081, 8082, 8083, 65535];
const nobody = { ipv4: IpAddr.parse('198.18.0.1'), ipv6: IpAddr.parse('2001:db8:eeee::1') } as const;

test('the chains do what the specification says, with elements that are made by asking it: 150 worlds', () => {
  let denied = 0;
  let crossed = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const { objects, packets } = randomCase(seed, { packets: 6 });
    const world = readWorld(objects);
    const remotes = [
      ...new Map(packets.flatMap(({ source, destination }) => [source, destination]).map((one) => [`${one}`, one])).values(),
    ];
    const plans = new Map(world.nodes.map(({ name }) => [name, bruteElements(world, name, remotes, ports, nobody)]));
    const cluster = new TracedCluster(plans, seed);
    for (const packet of packets) {
      const asked = holdAgainst(world, cluster, seed, packet);
      if (asked.crosses) crossed++;
      if (asked.crosses && asked.denied) denied++;
    }
  }
  assert.ok(crossed > 450 && denied > 120, `${denied} of ${crossed} were denied`);
});
