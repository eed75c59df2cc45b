import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { type Policy, policyName } from '../../policy/model.ts';
import { GuardedPlanner, PolicyPlanner } from '../../policy/plan/index.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually } from '../testkit/node.ts';
import { echoPort, everyWay, noWay, PolicyNode } from '../testkit/policy-node.ts';
import { Echo } from '../testkit/traffic.ts';

const outTo = (app: string): NetworkPolicySpec => ({
  podSelector: { matchLabels: { app } },
  policyTypes: ['Egress'],
  egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24' } }, { ipBlock: { cidr: '2001:db8::/64' } }] }],
});

test('a policy that planning fails with is closed, with the error in the status and once in the log; the agent lives, and all others are in force', needsRoot, async () => {
  const { changes, setPolicy } = PolicyPlanner.prototype;
  const failing = new WeakSet<PolicyPlanner>();
  PolicyPlanner.prototype.setPolicy = function (policy: Policy) {
    const isBad = policyName(policy) === 'NetworkPolicy default/bad' && policy.problems.length === 0;
    if (isBad) failing.add(this);
    setPolicy.call(this, policy);
  };
  PolicyPlanner.prototype.changes = function* () {
    if (failing.has(this)) throw new TypeError("Cannot read properties of undefined (reading 'group')");
    yield* changes.call(this);
  };
  try {
    await using it = await PolicyNode.start();
    const { node } = it;
    using _echo = await Echo.start(node.peer.ns, echoPort);
    const bad = await it.pod('bad', { labels: { app: 'bad' } });
    const good = await it.pod('good', { labels: { app: 'good' } });
    const reach = async () => [await it.hears(bad, it.neighbour), await it.hears(good, it.neighbour)];
    await it.policy('bad', outTo('bad'));
    await eventually(async () => assert.deepEqual(await reach(), [noWay, everyWay]));
    await it.policy('good', { podSelector: { matchLabels: { app: 'good' } }, policyTypes: ['Egress'] });
    await eventually(async () => assert.deepEqual(await reach(), [noWay, noWay]));
    await it.policy('good', outTo('good'));
    await eventually(async () => assert.deepEqual(await reach(), [noWay, everyWay]));
    await it.pod('later', { labels: { app: 'bad' } });
    const why = "NetworkPolicy default/bad: planning it failed: Cannot read properties of undefined (reading 'group')";
    assert.equal(node.status().problems.filter((problem) => problem.startsWith(why)).length, 1, node.status().problems.join('\n'));
    assert.deepEqual(node.log.filter((line) => line.includes('planning it failed')), [`policies: ${why}`]);
  } finally {
    Object.assign(PolicyPlanner.prototype, { changes, setPolicy });
  }
});

const denyAll: NetworkPolicySpec = { podSelector: { matchLabels: { app: 'shut' } }, policyTypes: ['Ingress', 'Egress'] };

/** Nothing can be planned, until that is disposed of. */
function unplannable(): Disposable {
  const { changes } = PolicyPlanner.prototype;
  PolicyPlanner.prototype.changes = () => {
    throw new RangeError('no numbers are left');
  };
  return { [Symbol.dispose]: () => void (PolicyPlanner.prototype.changes = changes) };
}

test('P4: an agent that begins and cannot plan at all leaves in force what the kernel holds, attaches no pod, and goes on by the next start', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  using _echo = await Echo.start(node.peer.ns, echoPort);
  await it.policy('deny', denyAll);
  const shut = await it.pod('shut', { labels: { app: 'shut' } });
  const open = await it.pod('open');
  const reach = async () => [await it.hears(shut, it.neighbour), await it.hears(it.neighbour, shut), await it.hears(open, it.neighbour)];
  assert.deepEqual(await reach(), [noWay, noWay, everyWay]);
  await node.settled();
  // All but the epoch, which begins with each start.
  const ruleset = () => node.ruleset().filter((line) => !/"policy-(known|settle)"/.test(line));
  const before = ruleset();
  await node.stop();
  {
    using _fault = unplannable();
    await node.startReady();
    await eventually(() => assert.match(node.status().problems.join('\n'), /^network policies cannot be planned any more.*no numbers are left; no pod can be attached$/));
    assert.deepEqual([ruleset(), node.status().reconciler.operations], [before, 0]);
    assert.deepEqual(await reach(), [noWay, noWay, everyWay]);
    await it.schedule('later');
    await assert.rejects(it.attach('later'), /"code":11,.*no numbers are left/);
    await node.stop();
  }
  await node.startReady();
  await eventually(() => assert.deepEqual(node.status().problems, []));
  assert.deepEqual([ruleset(), await reach()], [before, [noWay, noWay, everyWay]]);
});

test('the last policy goes while nothing can be planned: all are open then, and the next policy is in force again', needsRoot, async () => {
  await using it = await PolicyNode.start();
  const { node } = it;
  using _echo = await Echo.start(node.peer.ns, echoPort);
  await it.policy('deny', denyAll);
  const shut = await it.pod('shut', { labels: { app: 'shut' } });
  {
    using _fault = unplannable();
    await it.policy('other', denyAll);
    await eventually(() => assert.match(node.status().problems.join('\n'), /no numbers are left/));
    assert.equal(await it.hears(shut, it.neighbour), noWay);
    for (const name of ['deny', 'other']) await it.deletePolicy(name);
    await eventually(async () => assert.equal(await it.hears(shut, it.neighbour), everyWay));
    await eventually(() => assert.deepEqual(node.ruleset().filter((line) => line.includes('policy-')), []));
  }
  await it.policy('deny', denyAll);
  await eventually(async () => assert.equal(await it.hears(shut, it.neighbour), noWay), 5000);
});

/** What is to be done after just so long is done when `passes` is called, and planning finds that as much time has gone. */
function waiting(waitMs: number): Disposable & { passes(): void } {
  const { setTimeout } = globalThis;
  const { now } = performance;
  const { changes } = GuardedPlanner.prototype;
  const due: (() => void)[] = [];
  globalThis.setTimeout = ((act: () => void, ms?: number, ...more: []) => {
    if (ms !== waitMs) return setTimeout(act, ms, ...more);
    due.push(act);
    return setTimeout(() => {}, ms);
  }) as typeof setTimeout;
  return {
    passes() {
      GuardedPlanner.prototype.changes = function () {
        performance.now = () => now.call(performance) + waitMs;
        try {
          return changes.call(this);
        } finally {
          performance.now = now;
        }
      };
      for (const act of due.splice(0)) act();
    },
    [Symbol.dispose]() {
      globalThis.setTimeout = setTimeout;
      GuardedPlanner.prototype.changes = changes;
    },
  };
}

test('what could not be planned for a while is planned by itself when it can be, though nothing happens', needsRoot, async () => {
  // The first time after 30 s (GuardedPlanner), and a moment more for early timers.
  using time = waiting(30_010);
  await using it = await PolicyNode.start();
  const { node } = it;
  const shut = await it.pod('shut', { labels: { app: 'shut' } });
  using _echo = await Echo.start(node.peer.ns, echoPort);
  {
    using _fault = unplannable();
    await it.policy('deny', denyAll);
    await eventually(() => assert.match(node.status().problems.join('\n'), /no numbers are left; no pod can be attached$/));
    assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
  }
  assert.equal(await it.hears(shut, it.neighbour), everyWay);
  time.passes();
  await eventually(async () => assert.equal(await it.hears(shut, it.neighbour), noWay));
  await eventually(async () => assert.deepEqual([node.status().problems, (await node.cni({ command: 'STATUS' })).json], [[], {}]));
  assert.equal((await it.pod('next')).addresses.length, 2);
});
