import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Family } from '../../net/ip.ts';
import { run } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { nodeView } from '../watch/views.ts';
import { readFacts, sameFacts } from './facts.ts';

const view = (addresses: string[], podCIDRs: string[], labels: Record<string, string> = {}) =>
  nodeView({
    metadata: { name: 'me', labels },
    spec: { podCIDRs },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  });

class World implements Disposable {
  readonly #world = new TestWorld('facts');
  readonly me = this.#world.namespace('me');
  readonly peer = this.#world.namespace('peer');

  constructor() {
    this.#world.join(this.me, ['192.0.2.1/24', '2001:db8::1/64'], this.peer, [], ['eth0', 'eth0']);
    this.#world.join(this.me, ['198.51.100.1/24'], this.peer, [], ['eth1', 'eth1']);
  }

  read(of: ReturnType<typeof view>, families: Family[] = ['ipv4', 'ipv6']) {
    return readFacts(of, families, this.me.rt, this.me.ns);
  }

  [Symbol.dispose](): void {
    this.#world[Symbol.dispose]();
  }
}

test("a node's facts: its address of each family on a link here, that link, and what is on it", needsRoot, () => {
  using world = new World();
  const facts = world.read(
    view(['203.0.113.5', '192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64'], { 'topology.kubernetes.io/zone': 'z1' }),
  );
  assert.ok(typeof facts === 'object');
  assert.deepEqual(facts.self.addresses.map(String), ['192.0.2.1', '2001:db8::1'], 'not the one that is on no link');
  const { uplink, onLink, uplinkMtu } = facts.local;
  assert.deepEqual([uplink, onLink.map(String), uplinkMtu, facts.zone], ['eth0', ['192.0.2.0/24', '2001:db8::/64'], 1500, 'z1']);
  assert.deepEqual(facts.problems, []);
});

test('the primary family chooses the link, and the order of the families is that of the cluster', needsRoot, () => {
  using world = new World();
  const facts = world.read(view(['198.51.100.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']), ['ipv6', 'ipv4']);
  assert.ok(typeof facts === 'object');
  assert.deepEqual([facts.self.addresses.map(String), facts.local.uplink], [['2001:db8::1', '198.51.100.1'], 'eth0']);
});

test('what a node cannot be without is told in words, and what is only odd as problems', needsRoot, () => {
  using world = new World();
  assert.match(
    String(world.read(view([], []))),
    /^node me has no InternalIP that is on a link here \(the Node object has none of its families\)/,
  );
  assert.match(
    String(world.read(view(['203.0.113.5'], []))),
    /\(the Node object has 203\.0\.113\.5\): whoever registers the node must say its real address$/,
  );
  const facts = world.read(view(['192.0.2.1', 'nonsense'], ['10.1.0.0/24', 'fd01::1/64']));
  assert.ok(typeof facts === 'object');
  assert.equal(facts.problems.length, 4);
  for (const [i, wanted] of [
    /InternalIP of node me: .*nonsense/,
    /podCIDR of node me: /,
    /no ipv6 InternalIP on a link here/,
    /no ipv6 pod CIDR/,
  ].entries())
    assert.match(facts.problems[i]!, wanted);
});

test('facts are the same until something that is planned from changes', needsRoot, () => {
  using world = new World();
  const of = view(['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
  const first = world.read(of);
  assert.ok(typeof first === 'object');
  const again = (): boolean => {
    const facts = world.read(of);
    return typeof facts === 'object' && sameFacts(first, facts);
  };
  assert.ok(again() && !sameFacts(undefined, first));
  run(world.me.path, 'ip', 'link', 'set', 'eth1', 'mtu', '1400');
  assert.ok(again(), 'another link');
  run(world.me.path, 'ip', 'link', 'set', 'eth0', 'mtu', '1400');
  assert.ok(!again(), 'the MTU of the uplink');
  run(world.me.path, 'ip', 'link', 'set', 'eth0', 'mtu', '1500');
  run(world.me.path, 'ip', 'address', 'add', '203.0.113.7/24', 'dev', 'eth0');
  assert.ok(!again(), 'a further network on the link');
});

test("T15: other nodes' packets come by the uplink and by links on the same network; where the node's address is on lo, by any", needsRoot, () => {
  using world = new World();
  const links = (address: string): readonly string[] | undefined => {
    const facts = world.read(view([address], ['10.1.0.0/24']));
    assert.ok(typeof facts === 'object');
    return facts.local.underlay;
  };
  assert.deepEqual([links('192.0.2.1'), links('2001:db8::1'), links('198.51.100.1')], [['eth0'], ['eth0'], ['eth1']]);
  const before = world.read(view(['192.0.2.1'], []));
  run(world.me.path, 'ip', 'address', 'add', '192.0.2.9/24', 'dev', 'eth1');
  assert.deepEqual(links('192.0.2.1'), ['eth0', 'eth1']);
  const after = world.read(view(['192.0.2.1'], []));
  assert.ok(typeof before === 'object' && typeof after === 'object' && !sameFacts(before, after));
  world.me.own('203.0.113.1');
  assert.equal(links('203.0.113.1'), undefined);
});
