import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tc } from '../../testing/judge.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { ingressParent, isTbf, rootParent, type Tbf, tbfOf } from './qdiscs.ts';

interface TcQdisc {
  kind: string;
  dev: string;
  root?: boolean;
  options: { rate?: number; burst?: number; lat?: number; limit?: number };
}

interface TcFilter {
  protocol: string;
  kind: string;
  options?: { actions?: { kind: string; mirred_action: string; to_dev: string }[] };
}

const shapes: Tbf[] = [
  // 1 kbit/s with one frame: the burst takes 12 s.
  { rate: 125, burst: 1518, limit: 67_054 },
  { rate: 1_250_000, burst: 12_500, limit: 78_036 },
  // 100 Gbit/s: more than 32 bits hold.
  { rate: 12_500_000_000, burst: 125_000_000, limit: 750_000_000 },
  // 1 Pbit/s
  { rate: 125_000_000_000_000, burst: 0xffff_ffff, limit: 0xffff_ffff },
  // The kernel lists the burst's time in 32 bits, 275 s.
  { rate: 1000, burst: 10_000_000, limit: 100_000 },
];

test('a token bucket filter is what tc says it is, listed as it was made, and made anew in place of another', needsRoot, () => {
  using world = new TestWorld('qdisc');
  const node = world.namespace('node');
  node.rt.addLink({ type: 'ifb', name: 'ifb0', up: true });
  const link = node.index('ifb0');
  for (const shape of shapes) {
    node.rt.batch((b) => b.replaceTbf(link, shape));
    const [judged] = tc<TcQdisc>(node.path, 'qdisc', 'show', 'dev', 'ifb0');
    assert.equal(judged?.kind, 'tbf');
    assert.equal(judged.options.rate, shape.rate, 'tc prints bytes a second');
    const [listed] = node.rt.qdiscs().filter((qdisc) => qdisc.link === link);
    assert.equal(listed?.parent, rootParent);
    assert.ok(listed.tbf && isTbf(listed.tbf, shape), `${JSON.stringify(listed)} is ${JSON.stringify(shape)}`);
    for (const other of [
      { ...shape, rate: shape.rate + 1 },
      { ...shape, limit: shape.limit - 1 },
      { ...shape, burst: Math.floor(shape.burst / 2) },
    ])
      assert.ok(!isTbf(listed.tbf, other), `${JSON.stringify(listed)} is not ${JSON.stringify(other)}`);
  }
  const small = shapes[1]!;
  node.rt.batch((b) => b.replaceTbf(link, small));
  const back = tbfOf(node.rt.qdiscs().find((qdisc) => qdisc.link === link)!.tbf!);
  assert.ok(Math.abs(back.burst - small.burst) <= 1 && back.rate === small.rate, JSON.stringify(back));
  // Of another kind, made by somebody else, with a handle of its own.
  tc(node.path, 'qdisc', 'replace', 'dev', 'ifb0', 'root', 'handle', '1:', 'bfifo');
  node.rt.batch((b) => b.replaceTbf(link, small));
  assert.equal(tc<TcQdisc>(node.path, 'qdisc', 'show', 'dev', 'ifb0')[0]?.kind, 'tbf');
  node.rt.batch((b) => b.deleteRootQdisc(link).deleteRootQdisc(link));
  assert.notEqual(tc<TcQdisc>(node.path, 'qdisc', 'show', 'dev', 'ifb0')[0]?.kind, 'tbf');
});

test('everything that comes by a link is redirected, which is listed as long as the other link is there', needsRoot, () => {
  using world = new TestWorld('qdisc');
  const node = world.namespace('node');
  node.rt.addLink({ type: 'ifb', name: 'ifb0', up: true });
  node.rt.addLink({ type: 'veth', name: 'a', peer: { name: 'b' } });
  const [ifb, a] = [node.index('ifb0'), node.index('a')];
  assert.equal(node.rt.redirect(a), undefined);
  node.rt.batch((b) => b.addRedirect({ link: a, to: ifb }));
  assert.deepEqual(node.rt.redirect(a), { link: a, to: ifb });
  assert.ok(node.rt.qdiscs().some(({ link, kind, parent }) => link === a && kind === 'ingress' && parent === ingressParent));
  const filters = tc<TcFilter>(node.path, 'filter', 'show', 'dev', 'a', 'ingress');
  const judged = filters.find(({ options }) => options?.actions);
  assert.equal(judged?.protocol, 'all');
  const [action] = judged?.options?.actions ?? [];
  assert.deepEqual([action?.kind, action?.mirred_action, action?.to_dev], ['mirred', 'redirect', 'ifb0']);
  node.rt.deleteLink(ifb);
  assert.deepEqual(node.rt.redirect(a), { link: a, to: 0 });
  node.rt.batch((b) => b.deleteIngress(a).deleteIngress(a));
  assert.equal(node.rt.redirect(a), undefined);
});
