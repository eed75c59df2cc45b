import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdAgainst } from '../../policy/plan/testkit/agree.ts';
import { TracedCluster } from '../../policy/plan/testkit/cluster.ts';
import { changeSomething, objectsOf, PlannedCluster } from '../../policy/plan/testkit/planned.ts';
import { readWorld } from '../../policy/read-world.ts';
import { Random, randomCase } from '../../policy/testkit/random.ts';
import { type Item, keyOf } from '../../reconcile/model.ts';
import type { Failure, Operation, Writer } from '../../reconcile/operations.ts';
import { Reconciler } from '../../reconcile/reconciler.ts';
import { PolicyClosing } from './closing.ts';
import { PolicyFaults } from './faults.ts';

/** Sets of elements, of which some cannot be added or changed. */
class RefusingKernel implements Writer {
  readonly kinds: ReadonlySet<Item['kind']> = new Set(['nft-element']);
  readonly held = new Map<string, Item>();
  refuses: (item: Item) => boolean = () => false;
  refused = 0;

  observe(): Iterable<Item> {
    return [...this.held.values()];
  }

  apply(operations: readonly Operation[]): Failure[] {
    const failures: Failure[] = [];
    for (const operation of operations) {
      const { key } = operation;
      if (operation.verb === 'delete') this.held.delete(key);
      else if (this.refuses(operation.item)) failures.push({ key, error: new Error(`${key} is refused`) });
      else this.held.set(key, operation.item);
    }
    this.refused += failures.length;
    return failures;
  }
}

/** What an agent does with a node's plan. */
class Node {
  readonly kernel = new RefusingKernel();
  readonly faults = new PolicyFaults();
  readonly #reconciler = new Reconciler([this.kernel], { onStatus: (owner, status) => this.faults.heard(owner, status) });
  readonly closing = new PolicyClosing({ reconciler: this.#reconciler, faults: this.faults });
  #owners: ReadonlySet<string> = new Set();

  write(plan: ReadonlyMap<string, readonly Item[]>): void {
    const gone = [...this.#owners].filter((owner) => !plan.has(owner)).map((owner) => [owner, []] as const);
    this.#owners = new Set(plan.keys());
    for (const part of [...plan, ...gone]) this.#reconciler.contribute(...this.closing.pass(part));
    this.settle();
  }

  settle(): void {
    for (let tries = 0; tries < 3; tries++) {
      this.#reconciler.sync();
      for (const part of this.closing.update())
        try {
          this.#reconciler.contributeNow(...part);
        } catch {
          // It is tried again by the next sync.
        }
    }
  }
}

const worlds = 150;
const changes = 3;
const kinds = {
  rows: /^policy-(egress|ingress)[46]$/,
  identities: /^policy-(ids|nets)[46]$/,
  ports: /^policy-(ports|ranges)$/,
  'all but defaults': /^policy-(?!.*default)/,
} as const;

for (const [what, sets] of Object.entries(kinds))
  test(`where the kernel refuses some elements (${what}), nobody gets through whom policies deny, and all is as planned once it takes them: ${worlds} worlds`, () => {
    const counts = { refused: 0, closed: 0, denied: 0 };
    for (let seed = 1; seed <= worlds; seed++) {
      const { objects, packets } = randomCase(seed, { packets: 6 });
      const random = new Random(seed);
      const cluster = new PlannedCluster(['n1', 'n2']);
      cluster.tell(objectsOf(readWorld(objects)), random);
      const more = objectsOf(readWorld(randomCase(seed + 100_000).objects));
      const nodes = new Map(['n1', 'n2'].map((name) => [name, new Node()]));
      const write = (): void => {
        for (const [name, node] of nodes) node.write(cluster.plansOf(name));
      };
      cluster.update();
      // At first all is well, so that what is refused later is a change, too.
      if (seed % 2 === 0) write();
      const isBad = (item: Item): boolean => item.kind === 'nft-element' && sets.test(item.set) && random.chance(0.25);
      for (const { kernel } of nodes.values()) {
        const bad = new Map<string, boolean>();
        kernel.refuses = (item) => {
          const key = `${keyOf(item)} ${item.kind === 'nft-element' ? item.data : ''}`;
          if (!bad.has(key)) bad.set(key, isBad(item));
          return bad.get(key)!;
        };
      }
      for (let step = 0; step <= changes; step++) {
        if (step > 0) changeSomething(cluster, random, more, false);
        if (step > 0) cluster.update();
        write();
        const held = new Map([...nodes].map(([name, { kernel }]) => [name, kernel.held.values()]));
        const tracers = new TracedCluster(held, cluster.epoch);
        for (const packet of packets) {
          const asked = holdAgainst(cluster.world, tracers, cluster.epoch, packet, 0, true);
          if (asked.crosses && asked.denied) counts.denied++;
        }
        for (const { closing } of nodes.values()) counts.closed += closing.closed.size;
      }
      for (const [name, node] of nodes) {
        counts.refused += node.kernel.refused;
        node.kernel.refuses = () => false;
        node.settle();
        assert.equal(node.faults.failing.size, 0);
        const text = (items: Iterable<Item>): string[] => Array.from(items, (item) => JSON.stringify(item)).sort();
        assert.deepEqual(text(node.kernel.held.values()), text(cluster.elementsOf(name)), `seed ${seed}, ${name}`);
      }
    }
    assert.ok(counts.refused > worlds / 4 && counts.closed > worlds / 8 && counts.denied > worlds, JSON.stringify(counts));
  });
