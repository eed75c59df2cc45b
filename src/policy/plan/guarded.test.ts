import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import type { Item } from '../../reconcile/model.ts';
import { type Policy, policyName } from '../model.ts';
import { readWorld } from '../read-world.ts';
import { Random, randomCase } from '../testkit/random.ts';
import { makeWorld, type PolicyPod, podKey } from '../world.ts';
import { closedPolicy } from './faults.ts';
import { GuardedPlanner } from './guarded.ts';
import { PolicyPlanner } from './planner.ts';
import { holdAgainst } from './testkit/agree.ts';
import { podLinks, TracedCluster } from './testkit/cluster.ts';

/** A planner that fails with some objects as they stand: when it is told of them, or when it plans. */
class FaultyPlanner extends PolicyPlanner {
  static bad: (name: string) => 'told' | 'planned' | undefined = () => undefined;
  readonly #failing = new Set<string>();

  override setPolicy(policy: Policy): void {
    const isClosed = policy.problems.some(({ what }) => what.startsWith('planning it failed'));
    this.#fail(policyName(policy), isClosed ? undefined : FaultyPlanner.bad(policyName(policy)));
    super.setPolicy(policy);
  }

  override deletePolicy(policy: Policy): void {
    this.#failing.delete(policyName(policy));
    super.deletePolicy(policy);
  }

  override setPod(pod: PolicyPod): void {
    this.#fail(podKey(pod), 'unknown' in pod.labels ? undefined : FaultyPlanner.bad(podKey(pod)));
    super.setPod(pod);
  }

  override deletePod(key: string): void {
    this.#failing.delete(key);
    super.deletePod(key);
  }

  override *changes(): ReturnType<PolicyPlanner['changes']> {
    for (const name of this.#failing) throw new TypeError(`cannot read properties of ${name}`);
    yield* super.changes();
  }

  #fail(name: string, when: 'told' | 'planned' | undefined): void {
    if (when === 'told') throw new TypeError(`cannot read properties of ${name}`);
    if (when === 'planned') this.#failing.add(name);
    else this.#failing.delete(name);
  }
}

const unknown = {
  labels: { unknown: '' },
  policy: {
    ...{ kind: 'ClusterNetworkPolicy', name: 'unknown', tier: 'Admin', priority: -1, problems: [] },
    subject: { namespaces: { labels: [] }, pods: [{ key: 'unknown', operator: 'Exists', values: [] }] },
    rules: {
      egress: [{ at: '', action: 'Deny', peers: undefined, ports: undefined }],
      ingress: [{ at: '', action: 'Deny', peers: undefined, ports: undefined }],
    },
  } satisfies Policy,
};

function guarded(name = 'n1', held: readonly Item[] = [], onBroken?: (retryMs: number) => void) {
  const log: string[] = [];
  const planner = new GuardedPlanner({
    ...{ node: { name, podLinks, podCidrs: [] }, unknown, held: () => held, log: (line: string) => log.push(line), onBroken },
    make: (node) => new FaultyPlanner({ node, held: new Map() }),
  });
  const plan = new Map<string, readonly Item[]>();
  const next = (): number => {
    const changes = planner.changes();
    for (const [owner, items] of changes) {
      if (items.length > 0) plan.set(owner, items);
      else plan.delete(owner);
    }
    return changes.length;
  };
  return { planner, log, plan, next };
}

for (const when of ['told', 'planned'] as const)
  test(`policies that planning fails with (when they are ${when}) are closed, and all others do what the specification says: at a start, and when they come later`, () => {
    const counts = { bad: 0, crossed: 0, allowed: 0 };
    for (let seed = 1; seed <= 60; seed++) {
      const { objects, packets } = randomCase(seed, { packets: 8 });
      const { pods, nodes, namespaces, policies } = readWorld(objects);
      const random = new Random(seed);
      const bad = new Set(policies.filter(() => random.chance(0.25)).slice(0, 3).map(policyName));
      FaultyPlanner.bad = (name) => (bad.has(name) ? when : undefined);
      const isLate = seed % 2 === 0;
      const both = ['n1', 'n2'].map((name) => ({ name, ...guarded(name) }));
      for (const { planner, next } of both) {
        for (const node of nodes) planner.setNode(node);
        for (const [name, labels] of namespaces) planner.setNamespace(name, labels);
        for (const pod of pods) planner.setPod(pod);
        for (const policy of policies) if (!isLate || !bad.has(policyName(policy))) planner.setPolicy(policy);
        next();
        for (const policy of policies) if (isLate && bad.has(policyName(policy))) planner.setPolicy(policy);
        next();
        assert.equal(planner.broken, undefined);
        assert.equal(planner.problems.length, bad.size, planner.problems.join('\n'));
      }
      const closed = policies.map((policy) => (bad.has(policyName(policy)) ? closedPolicy(policy, '') : policy));
      const world = makeWorld({ pods, nodes, namespaces, policies: closed });
      const tracers = new TracedCluster(new Map(both.map(({ name, plan }) => [name, [...plan.values()].flat()])), 1);
      for (const packet of packets) {
        const { crosses, denied } = holdAgainst(world, tracers, 1, packet);
        if (crosses) counts.crossed++;
        if (crosses && !denied) counts.allowed++;
      }
      counts.bad += bad.size;
    }
    assert.ok(counts.bad > 60 && counts.crossed > 200 && counts.allowed > 50, JSON.stringify(counts));
  });

const pod = (name: string, node = 'n1'): PolicyPod => ({
  ...{ namespace: 'default', name, labels: { app: name }, node, addresses: [], hostNetwork: false, ended: false, ports: [] },
});
const deny = (name: string): Policy => ({
  ...{ kind: 'NetworkPolicy', namespace: 'default', name, tier: 'NetworkPolicy', priority: 0, problems: [] },
  ...{ subject: { namespaces: { name: 'default' }, pods: [] }, rules: { egress: [], ingress: [] } },
});

test('the log tells once of a policy that planning fails with, and it is planned for again when it changes', () => {
  FaultyPlanner.bad = (name) => (name.endsWith('bad') ? 'planned' : undefined);
  const { planner, log, next } = guarded();
  planner.setPolicy(deny('good'));
  planner.setPolicy(deny('bad'));
  next();
  planner.setPod(pod('a'));
  next();
  assert.deepEqual(log, ['policies: NetworkPolicy default/bad: planning it failed: cannot read properties of NetworkPolicy default/bad']);
  assert.match(planner.problems.join('\n'), /^NetworkPolicy default\/bad: planning it failed: cannot read .*; its rules allow nothing/);
  FaultyPlanner.bad = () => undefined;
  planner.setPolicy(deny('bad'));
  next();
  assert.deepEqual(planner.problems, []);
});

for (const when of ['told', 'planned'] as const)
  test(`a pod that planning fails with (${when}) is planned for as one that nobody knows, on its own node, and as nobody elsewhere`, () => {
    FaultyPlanner.bad = (name) => (name === 'default/bad' ? when : undefined);
    const { objects } = randomCase(1);
    const world = readWorld(objects);
    const [some, other] = world.pods.filter(({ node, addresses, hostNetwork, ended }) => node && addresses.length > 0 && !hostNetwork && !ended);
    for (const name of ['n1', 'n2']) {
      const { planner, plan, next, log } = guarded(name);
      planner.setPolicy({ ...deny('some'), subject: { namespaces: { name: 'shop' }, pods: [] } });
      planner.setPod({ ...other!, namespace: 'shop', name: 'good', node: name });
      next();
      planner.setPod({ ...some!, namespace: 'default', name: 'bad', node: 'n1' });
      next();
      assert.deepEqual([planner.broken, log.length], [undefined, 1]);
      assert.equal(plan.has('policy pod shop/good'), true);
      const own = plan.get('policy pod default/bad') ?? [];
      const defaults = own.flatMap((item) => (item.kind === 'nft-element' && item.set.includes('-default') ? item.data : []));
      assert.deepEqual(defaults.length > 0 && defaults.every((data) => data === 'none'), name === 'n1');
      planner.deletePod('default/bad');
      next();
      assert.equal(plan.has('policy pod default/bad'), false);
      assert.deepEqual(planner.problems, []);
    }
  });

/** `method` fails once. */
function failOnce(method: 'setNamespace' | 'deleteNamespace'): void {
  FaultyPlanner.prototype[method] = () => {
    delete (FaultyPlanner.prototype as Partial<FaultyPlanner>)[method];
    throw new TypeError('the index is wrong');
  };
}

test('where a fault is of what was planned before, all is planned anew, and no policy is closed for it', () => {
  FaultyPlanner.bad = () => undefined;
  const { planner, log, next } = guarded();
  planner.setPolicy(deny('a'));
  planner.setPolicy(deny('b'));
  next();
  failOnce('setNamespace');
  planner.setNamespace('default', {});
  assert.equal(planner.broken, 'the index is wrong');
  next();
  assert.deepEqual([planner.broken, planner.problems], [undefined, []]);
  assert.deepEqual(log, ['policies: planning failed: the index is wrong; all was planned anew']);
});

test('a pod that is cut off is isolated also when the first policy comes after it, and when all is planned anew', () => {
  FaultyPlanner.bad = (name) => (name === 'default/bad' ? 'told' : undefined);
  const { addresses } = readWorld(randomCase(1).objects).pods.find(({ addresses }) => addresses.length > 0)!;
  const { planner, plan, next } = guarded();
  const isIsolated = (): boolean => {
    const own = plan.get('policy pod default/bad') ?? [];
    const defaults = own.flatMap((item) => (item.kind === 'nft-element' && item.set.includes('-default') ? item.data : []));
    return defaults.length > 0 && defaults.every((data) => data === 'none');
  };
  planner.setPod({ ...pod('bad'), addresses });
  next();
  assert.equal(isIsolated(), false, 'without policies nobody is');
  planner.setPolicy({ ...deny('some'), subject: { namespaces: { name: 'shop' }, pods: [] } });
  next();
  assert.equal(isIsolated(), true);
  failOnce('deleteNamespace');
  planner.deleteNamespace('other');
  next();
  assert.deepEqual([planner.broken, planner.problems.length], [undefined, 1]);
  assert.equal(isIsolated(), true);
});

test('where nothing helps, what was planned stands, and it goes on when what it failed with is gone', () => {
  const { planner, plan, log, next } = guarded();
  FaultyPlanner.bad = () => undefined;
  planner.setPolicy(deny('a'));
  planner.setPod({ ...pod('a'), addresses: readWorld(randomCase(1).objects).pods.find(({ addresses }) => addresses.length > 0)!.addresses });
  assert.ok(next() > 0);
  const before = [...plan.keys()];
  const { changes } = FaultyPlanner.prototype;
  FaultyPlanner.prototype.changes = () => {
    throw new RangeError('no numbers are left');
  };
  try {
    planner.setPolicy(deny('b'));
    assert.equal(next(), 0);
    assert.equal(planner.broken, 'no numbers are left');
    assert.equal(next(), 0);
    assert.equal(log.length, 1);
    assert.deepEqual([...plan.keys()], before);
  } finally {
    FaultyPlanner.prototype.changes = changes;
  }
});

test('P4: where nothing can be planned from the beginning, what the kernel holds of a former plan stands until there is a plan; without policies nothing does', () => {
  const held: Item[] = [{ kind: 'nft-element', set: 'policy-egress-default4', key: '10.0.0.1', data: 'none' }];
  const { changes } = FaultyPlanner.prototype;
  const failing = (): never => {
    throw new RangeError('no numbers are left');
  };
  FaultyPlanner.bad = () => undefined;
  try {
    for (const end of ['planned', 'no policies'] as const) {
      FaultyPlanner.prototype.changes = failing;
      const { planner, plan, next } = guarded('n1', held);
      planner.setPolicy(deny('a'));
      assert.equal(next(), 1);
      assert.deepEqual([...plan.values()], [held]);
      assert.equal(next(), 0);
      if (end === 'planned') {
        FaultyPlanner.prototype.changes = changes;
        planner.setPolicy(deny('b'));
        assert.notEqual(planner.broken, undefined, 'it is tried again in its time');
      } else {
        planner.deletePolicy(deny('a'));
        assert.equal(next(), 1, 'at once');
        assert.deepEqual([...plan], []);
      }
    }
  } finally {
    FaultyPlanner.prototype.changes = changes;
  }
});

test('where nothing helps it is tried again by itself, ever more seldom, and never for more than a hundredth of the time; what happens meanwhile costs nothing', (t) => {
  let now = 1000;
  t.mock.method(performance, 'now', () => now);
  FaultyPlanner.bad = () => undefined;
  const { changes } = FaultyPlanner.prototype;
  let [tries, costsMs] = [0, 0];
  FaultyPlanner.prototype.changes = () => {
    tries++;
    now += costsMs;
    throw new RangeError('no numbers are left');
  };
  const waits: number[] = [];
  const { planner, plan, next } = guarded('n1', [], (retryMs) => waits.push(retryMs));
  try {
    planner.setPolicy(deny('a'));
    for (let time = 0; time < 7; time++) {
      next();
      const tried = tries;
      now += 29_000;
      planner.setPod({ ...pod(`p${time}`), addresses: [IpAddr.parse(`10.1.0.${time + 2}`)] });
      next();
      assert.equal(tries, tried, 'not yet');
      now += waits.at(-1)! - 29_000;
    }
    assert.deepEqual(waits.splice(0), [30, 60, 120, 240, 480, 600, 600].map((seconds) => seconds * 1000));
    costsMs = 10_000;
    next();
    const [wait] = waits;
    assert.ok(wait! >= 100 * costsMs, `${wait}`);
    const tried = tries;
    now += wait! - 1;
    planner.setPolicy(deny('b'));
    next();
    assert.equal(tries, tried);
  } finally {
    FaultyPlanner.prototype.changes = changes;
  }
  now += 1;
  assert.equal(next() > 0 && planner.broken === undefined, true);
  assert.ok(plan.size > 0 && waits.length === 1);
});
