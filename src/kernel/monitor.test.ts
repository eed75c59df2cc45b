import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { Prefix } from '../net/prefix.ts';
import { run } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { type RouteEvent, watchRoute } from './monitor.ts';
import { Nft } from './nftables/nft.ts';

const all = ['links', 'addresses', 'routes', 'neighbours'] as const;
const at = IpAddr.parse;

/** Collects until a condition holds. */
function collector<E>() {
  const events: E[] = [];
  let check = (): void => {};
  let resyncs = 0;
  return {
    events,
    resyncs: () => resyncs,
    handler: {
      onEvent(event: E): void {
        events.push(event);
        check();
      },
      onResync(): void {
        resyncs++;
        check();
      },
    },
    until: (condition: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        check = () => {
          if (condition()) resolve();
        };
        check();
      }),
  };
}

test('changes of links, addresses, routes and neighbours in a namespace are told as they happen', {
  ...needsRoot,
  timeout: 30_000,
}, async () => {
  using world = new TestWorld('monitor');
  const { rt, ns } = world.namespace('a');
  const seen = collector<RouteEvent>();
  using _monitor = watchRoute(ns, all, seen.handler);
  rt.addLink({ type: 'bridge', name: 'br0', index: 50, up: true });
  rt.addAddress({ link: 50, address: at('10.0.0.1'), prefixLength: 24 });
  rt.addRoute({ destination: Prefix.parse('10.1.0.0/16'), gateway: at('10.0.0.2') });
  rt.addNeighbour({ link: 50, address: at('10.0.0.2'), mac: Mac.parse('02:00:00:00:00:01') });
  rt.deleteLink(50);
  const has = (wanted: (event: RouteEvent) => boolean) => seen.events.some(wanted);
  await seen.until(() => has((e) => e.topic === 'links' && e.change === 'delete' && e.link.name === 'br0'));
  assert.ok(has((e) => e.topic === 'links' && e.change === 'new' && e.link.index === 50));
  for (const change of ['new', 'delete'] as const)
    assert.ok(has((e) => e.topic === 'addresses' && e.change === change && e.address.address.equals(at('10.0.0.1'))));
  assert.ok(has((e) => e.topic === 'routes' && e.change === 'new' && String(e.route.destination) === '10.1.0.0/16'));
  assert.ok(has((e) => e.topic === 'neighbours' && e.change === 'new' && String(e.neighbour.mac) === '02:00:00:00:00:01'));
});

test('when events are lost the monitor says so and goes on', { ...needsRoot, timeout: 60_000 }, async () => {
  using world = new TestWorld('monitor');
  const { rt, ns } = world.namespace('a');
  const seen = collector<RouteEvent>();
  using _monitor = watchRoute(ns, ['routes'], seen.handler, { receiveBufferBytes: 32 << 10 });
  // More events than the buffer holds, while nobody reads.
  rt.batch((b) => {
    for (let i = 0; i < 300; i++) b.addRoute({ destination: Prefix.host(at('10.0.0.0').offset(i)), type: 'blackhole' });
  });
  await seen.until(() => seen.resyncs() > 0);
  rt.addRoute({ destination: Prefix.parse('10.99.0.0/16'), type: 'blackhole' });
  await seen.until(() => seen.events.some((e) => e.topic === 'routes' && String(e.route.destination) === '10.99.0.0/16'));
});

test("the ruleset's generation but for one's own transactions changes with those of others alone", needsRoot, () => {
  using world = new TestWorld('monitor');
  const { path, ns } = world.namespace('a');
  using nft = Nft.open(ns);
  const start = nft.foreignGeneration();
  nft.own('one');
  nft.own('one');
  const set = { name: 'numbers', key: 'integer', flags: [] };
  nft.transaction('one', (t) => t.addSet(set));
  nft.transaction('one', (t) => t.addElements(set, [{ key: '1' }]));
  assert.throws(() => nft.transaction('one', (t) => t.deleteElements(set, [{ key: '2' }])));
  assert.equal(nft.supports('inet'), true);
  assert.equal(nft.foreignGeneration(), start);
  run(path, 'nft', 'add table inet other');
  assert.equal(nft.foreignGeneration(), start + 1);
  nft.transaction('one', (t) => t.deleteElements(set, [{ key: '1' }]));
  assert.equal(nft.foreignGeneration(), start + 1);
});
