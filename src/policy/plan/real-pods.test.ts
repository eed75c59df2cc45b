import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processors, runOn } from '../../kernel/scheduling.ts';
import { needsRoot } from '../../testing/root.ts';
import { evaluate } from '../evaluate.ts';
import { Random } from '../testkit/random.ts';
import type { World } from '../world.ts';
import { Fabric } from './testkit/fabric.ts';
import { MovingWorld, probesOf } from './testkit/moving-world.ts';
import { listened, type Outcome, type Probe, Prober } from './testkit/probes.ts';
import { Standing } from './testkit/standing.ts';

/** What packets did otherwise than the specification has it. */
function disagreements(world: World, probes: readonly Probe[], outcomes: readonly Outcome[]): string[] {
  return probes.flatMap((probe, i) => {
    const { allowed } = evaluate(world, probe);
    const { arrived, answered } = outcomes[i]!;
    const answers = probe.protocol === 'SCTP' ? false : allowed;
    if (arrived === allowed && answered === answers) return [];
    const { from, to, source, destination, protocol, port } = probe;
    return [
      `${from.name} ${source} to ${to.name} ${destination} ${protocol} ${port ?? ''}: must be ${allowed ? 'open' : 'closed'}, arrived ${arrived}, answered ${answered}`,
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

