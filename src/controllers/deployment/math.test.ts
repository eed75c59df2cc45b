import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DeploymentStrategy } from '../../kube/types.ts';
import { deployment } from '../harness.ts';
import { type Limits, limitsOf, newReplicas, oldReplicas, proportional } from './math.ts';

const limits = (replicas: number, strategy?: DeploymentStrategy): Limits => {
  const made = deployment('web', replicas);
  made.spec!.strategy = strategy;
  return limitsOf(made);
};

describe('sizes of a rollout', () => {
  test('percentages are rounded up for surge and down for unavailability; both zero becomes one unavailable', () => {
    const rolling = (maxSurge: number | string, maxUnavailable: number | string) => ({
      rollingUpdate: { maxSurge, maxUnavailable },
    });
    assert.deepEqual(limits(10), { replicas: 10, maxSurge: 3, maxUnavailable: 2 });
    assert.deepEqual(limits(1), { replicas: 1, maxSurge: 1, maxUnavailable: 0 });
    assert.deepEqual(limits(3, rolling(0, '10%')), { replicas: 3, maxSurge: 0, maxUnavailable: 1 });
    assert.deepEqual(limits(3, rolling('100%', 9)), { replicas: 3, maxSurge: 3, maxUnavailable: 3 });
    assert.deepEqual(limits(0), { replicas: 0, maxSurge: 0, maxUnavailable: 0 });
    assert.throws(() => limits(3, rolling('some', 1)), /"some" is neither a whole number nor a percentage/);
  });

  test('with every strategy and every pace a rollout ends, and is within its limits at each step', () => {
    const share = fc.oneof(
      fc.nat(5),
      fc.nat(100).map((n) => `${n}%`),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 15 }),
        share,
        share,
        fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat(2)),
        (replicas, maxSurge, maxUnavailable, olds, pace) => {
          const limit = limits(replicas, { rollingUpdate: { maxSurge, maxUnavailable } });
          let current = { name: 'new', replicas: 0, available: 0 };
          // Old ReplicaSets as an earlier rollout left them: together no more than allowed.
          let room = replicas + limit.maxSurge;
          let old = olds.map((n, i) => {
            const size = Math.min(i === 0 ? replicas : n, room);
            room -= size;
            return { name: `old${i}`, replicas: size, available: size };
          });
          let steps = 0;
          while (current.available < replicas || old.some((one) => one.replicas > 0)) {
            assert.ok(steps++ < 500, 'ends');
            const grown = newReplicas(limit, current, old);
            if (grown !== current.replicas) current = { ...current, replicas: grown };
            else {
              const next = oldReplicas(
                limit,
                current,
                old.filter((one) => one.replicas > 0),
              );
              old = old.map((one) => {
                const size = next.get(one.name) ?? one.replicas;
                return { ...one, replicas: size, available: Math.min(one.available, size) };
              });
            }
            const all = [current, ...old];
            const total = all.reduce((sum, one) => sum + one.replicas, 0);
            assert.ok(total <= replicas + limit.maxSurge, `${total} pods are at most ${replicas} + ${limit.maxSurge}`);
            const available = all.reduce((sum, one) => sum + one.available, 0);
            assert.ok(
              available >= replicas - limit.maxUnavailable,
              `${available} available are at least ${replicas} - ${limit.maxUnavailable}`,
            );
            current = { ...current, available: Math.min(current.replicas, current.available + (pace.next().value ?? 1)) };
          }
          assert.equal(current.replicas, replicas);
        },
      ),
    );
  });

  test('replicas that are not available anyway are the first of the old to go', () => {
    const old = [
      { name: 'broken', replicas: 4, available: 0 },
      { name: 'good', replicas: 8, available: 8 },
    ];
    const next = oldReplicas({ replicas: 10, maxSurge: 3, maxUnavailable: 2 }, { name: 'new', replicas: 1, available: 0 }, old);
    assert.deepEqual([...next], [['broken', 0]]);
  });

  test('a change of size in the midst of a rollout is shared by size, and adds up', () => {
    const part = (name: string, replicas: number, before: number) => ({ name, replicas, available: replicas, before });
    const grown = proportional({ replicas: 20, maxSurge: 5, maxUnavailable: 0 }, [part('a', 8, 13), part('b', 5, 13)]);
    assert.deepEqual(
      [...grown],
      [
        ['a', 15],
        ['b', 10],
      ],
    );
    const shrunk = proportional({ replicas: 5, maxSurge: 2, maxUnavailable: 0 }, [part('a', 8, 13), part('b', 5, 13)]);
    assert.deepEqual(
      [...shrunk.values()].reduce((a, b) => a + b),
      7,
    );
    assert.deepEqual(
      [...proportional({ replicas: 0, maxSurge: 0, maxUnavailable: 0 }, [part('a', 8, 13), part('b', 5, 13)]).values()],
      [0, 0],
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 30 }),
        fc.nat(5),
        fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 2, maxLength: 5 }),
        (replicas, maxSurge, sizes) => {
          const ordered = sizes.sort((a, b) => b - a);
          const total = ordered.reduce((a, b) => a + b, 0);
          const next = proportional(
            { replicas, maxSurge, maxUnavailable: 0 },
            ordered.map((size, i) => part(`s${i}`, size, total)),
          );
          const sum = [...next.values()].reduce((a, b) => a + b, 0);
          assert.ok([...next.values()].every((size) => size >= 0));
          assert.ok(sum === (replicas > 0 ? replicas + maxSurge : 0), `${sum} is what is allowed`);
        },
      ),
    );
  });
});
