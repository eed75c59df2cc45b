import assert from 'node:assert/strict';
import { test } from 'node:test';
import koffi from 'koffi';
import { InterruptedDumps } from '../../testing/interrupted-dumps.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { KernelError } from '../errors.ts';
import { Nft } from '../nftables/index.ts';
import { sys } from '../sys.ts';

test('F36: a dump during which something changed is read again, up to a bound, and no part of it is ever given out', needsRoot, () => {
  using world = new TestWorld('netlink');
  const { rt, ns } = world.namespace('a');
  for (let i = 0; i < 5; i++) rt.addLink({ type: 'bridge', name: `br${i}` });
  using nft = Nft.open(ns);
  for (const family of ['inet', 'ip', 'ip6'] as const) nft.transaction('one', (t) => t.addTable({ family, name: 'one' } as never));
  const names = (): string[] => rt.links().map(({ name }) => name);
  const whole = names();
  assert.equal(whole.length, 6);
  {
    using dumps = new InterruptedDumps(3);
    assert.deepEqual(names(), whole);
    assert.equal(dumps.count, 3);
  }
  using dumps = new InterruptedDumps();
  const interrupted = (error: unknown): boolean => error instanceof KernelError && error.errno === 'EINTR';
  for (const read of [names, () => rt.addresses(), () => rt.routes(), () => rt.neighbours(), () => rt.fdb(), () => rt.qdiscs()])
    assert.throws(() => assert.equal(read().length, 0, 'what has none has no part either'), interrupted);
  assert.ok(dumps.count >= 50, `${dumps.count} datagrams: each dump was tried ten times`);
});

test('F36: a receive that a signal ended (EINTR) is done again', needsRoot, () => {
  using world = new TestWorld('netlink');
  const { rt } = world.namespace('a');
  const { recv } = sys;
  let signals = 0;
  sys.recv = (...args) => {
    if (signals++ % 3 === 2) return recv(...args);
    // EINTR
    koffi.errno(4);
    return -1;
  };
  try {
    assert.deepEqual(
      rt.links().map(({ name }) => name),
      ['lo'],
    );
  } finally {
    sys.recv = recv;
  }
  assert.ok(signals >= 6);
});
