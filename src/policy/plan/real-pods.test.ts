import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processors, runOn } from '../../kernel/scheduling.ts';
import { needsRoot } from '../../testing/root.ts';
import { evaluate } from '../evaluate.ts';
import { Random } from '../testkit/random.ts';
import type { World } from '../world.ts';
import { Fabric } from './testkit/fabric.ts';
import { MovingWorld, mutated, objectsOf, probesOf } from './testkit/moving-world.ts';
import { listened, type Outcome, type Probe, Prober } from './testkit/probes.ts';
import { Standing } from './testkit/standing.ts';

/** What packets did otherwise than the specification has it. */
function disagreements(world: World, probes: readonly Probe[], outcomes: readonly Outcome[]): string[] {
  return probes.flatMap((probe, i) => {
    const { allowed } = evaluate(world, probe);
    const { arrived, answered } = outcomes[i]!;
    const answers = probe.protocol === 'SCTP' ? false : allowed;
    if (arrived === allowed && answered === answers) return [];
    const { from, to, source, destination, through, protocol, port } = probe;
    return [
      `${from.name} ${source} to ${to.name} ${destination} ${protocol} ${port ?? ''}${through ? ` by ${through}` : ''}: must be ${allowed ? 'open' : 'closed'}, arrived ${arrived}, answered ${answered}`,
    ];
  });
}

/** Runs with the whole process on one processor. */
async function onOneProcessor(run: () => Promise<void>): Promise<void> {
  const all = processors();
  runOn(all.slice(0, 1));
  try {
    await run();
  } finally {
    runOn(all);
  }
}

test('without policies every packet of every protocol arrives between all pods, nodes and the outside, and is answered', needsRoot, () =>
  onOneProcessor(async () => {
    using fabric = new Fabric();
    using prober = new Prober(fabric.ends, fabric.sentinels);
    const world = new MovingWorld(fabric, []);
    world.become([]);
    const probes = probesOf(new Random(1), fabric.ends, world.world, 3, false);
    assert.ok(probes.length > 700);
    assert.deepEqual(disagreements(world.world, probes, await prober.send(probes)), []);
    using standing = await Standing.open(prober, connections(probes));
    assert.ok(standing.probes.length > 50);
    for (let round = 0; round < 2; round++)
      for (const { client, server } of await standing.use()) assert.deepEqual([client, server], ['heard', 'heard']);
  }),
);

/** Every third of them, as a connection that a server takes. */
const connections = (probes: readonly Probe[]): Probe[] =>
  probes.filter((_, i) => i % 3 === 0).map((probe, i) => ({ ...probe, protocol: 'TCP', port: listened[i % listened.length]! }));

/** Each end of a connection that policies close meanwhile is reset by its next packet (NP14). */
async function brokenConnections(world: World, standing: Standing): Promise<string[]> {
  return (await standing.use()).flatMap(({ probe, client, server }) => {
    const use = evaluate(world, probe).allowed ? 'heard' : 'reset';
    if (client === use && server === use) return [];
    return [`${probe.source} to ${probe.destination} TCP ${probe.port}: must be ${use}, the client's byte ${client}, the server's ${server}`];
  });
}

/** So many random worlds, and each once more with other labels and fewer policies; `PODNET_POLICY_CASES=5000` for a long night. */
const cases = Number(process.env.PODNET_POLICY_CASES ?? 200);

for (const podCidrs of [[], ['10.0.0.0/24', 'fd00::/64']])
  test(
    `NP1, NP2, NP3, NP4, NP5, NP6, NP7, NP8, NP9, NP10, NP11, NP12, NP13, NP14, NP16, NP17, NP22, CNP1, CNP2, CNP3, CNP4, CNP5, CNP6, CNP8, CNP9, CNP12: packets between pods on two nodes go as the specification has it, in ${cases / 2} random worlds and as they change, pod CIDRs ${podCidrs.length > 0 ? 'known' : 'unknown'}`,
    needsRoot,
    () =>
      onOneProcessor(async () => {
        using fabric = new Fabric();
        using prober = new Prober(fabric.ends, fabric.sentinels);
        const world = new MovingWorld(fabric, podCidrs);
        let [allowed, denied, cut] = [0, 0, 0];
        for (let seed = podCidrs.length; seed < podCidrs.length + cases / 2; seed++) {
          if (seed % 25 === 0) {
            fabric.forgetConnections();
            prober.startOver();
          }
          const random = new Random(seed);
          let objects = objectsOf(seed, { namespacedOnly: seed % 3 === 0 });
          world.become(objects);
          using standing = await Standing.open(prober, connections(probesOf(random, fabric.ends, world.world, 1, podCidrs.length > 0)));
          for (let step = 0; step < 2; step++) {
            const probes = probesOf(random, fabric.ends, world.world, 1, podCidrs.length > 0);
            const outcomes = await prober.send(probes);
            const wrong = disagreements(world.world, probes, outcomes);
            const before = standing.probes.length;
            wrong.push(...(await brokenConnections(world.world, standing)));
            assert.deepEqual(wrong, [], `seed ${seed}, step ${step}`);
            cut += before - standing.probes.length;
            allowed += outcomes.filter(({ arrived }) => arrived).length;
            denied += outcomes.filter(({ arrived }) => !arrived).length;
            objects = mutated(random, objects, []);
            world.become(objects);
          }
        }
        assert.ok(allowed > cases * 10 && denied > cases * 10 && cut > cases / 10, `${allowed} allowed, ${denied} denied, ${cut} cut`);
      }),
  );
