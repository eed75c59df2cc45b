import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Family, families, IpAddr } from '../../../net/ip.ts';
import type { Item } from '../../../reconcile/model.ts';
import { planPolicyChains } from './chains.ts';
import { defaultConnmarkMask, markOf, planEpoch } from './epoch.ts';
import { PolicyTracer, plainConnection, type TracedPacket } from './trace.ts';

const podLinks = { group: 28782 };
const at = { ipv4: (n: number) => IpAddr.parse(`10.1.0.${n}`), ipv6: (n: number) => IpAddr.parse(`fd00::${n}`) } as const;
const digit = { ipv4: 4, ipv6: 6 } as const;

const chains = [...planPolicyChains({ podLinks }), ...planEpoch(7, defaultConnmarkMask)];
/** Pod 3 hears from identity 1 (pod 2) at TCP 80 and 8000-8080. */
const elements = (family: Family): Item[] => {
  const one = (set: string, key: string, data: string): Item => ({ kind: 'nft-element', set, key, data });
  return [
    one(`policy-ids${digit[family]}`, `${at[family](2)}`, '0:1'),
    one(`policy-nets${digit[family]}`, family === 'ipv4' ? '10.2.0.0/16' : 'fd02::/16', '0:1'),
    one(`policy-ingress-default${digit[family]}`, `${at[family](3)}`, 'none'),
    one(`policy-ingress${digit[family]}`, `0:1 . ${at[family](3)}`, '0:c'),
    one('policy-ports', '0:c . tcp . 80', '0:3'),
    one('policy-ranges', '0:c . tcp . 8000-8080', '0:3'),
  ];
};
const settled = markOf(7, defaultConnmarkMask);

for (const family of families) {
  const tracer = new PolicyTracer([...chains, ...elements(family)], podLinks);
  const to3 = (port: number, from = at[family](2), protocol = 6): TracedPacket => ({
    ...{ hook: 'forward', fromPod: true, toPod: true, direction: 'original', state: 'new' },
    connection: plainConnection(protocol, from, 40_000, at[family](3), port),
  });

  test(`the tracer says what becomes of a packet, by which rule, and what its connection bears (${family})`, () => {
    assert.deepEqual(tracer.trace(to3(80)), { verdict: 'accept', by: undefined, mark: settled });
    assert.equal(tracer.trace(to3(8080)).verdict, 'accept');
    assert.deepEqual(tracer.trace(to3(81)), {
      ...{ verdict: 'drop', mark: 0 },
      by: { chain: 'policy-drop', rule: 'counter name "policy-denied" drop' },
    });
    assert.equal(tracer.trace(to3(80, at[family](4))).verdict, 'drop');
    assert.equal(tracer.trace(to3(80, IpAddr.parse(family === 'ipv4' ? '10.2.9.9' : 'fd02::9'))).verdict, 'accept');
    assert.equal(tracer.trace(to3(80, undefined, 17)).verdict, 'drop');
  });

  test(`the tracer: an open connection that is denied is reset in both directions, an ICMP error about it dropped (${family})`, () => {
    const open: TracedPacket = { ...to3(81), state: 'established' };
    const by = {
      chain: 'policy-deny',
      rule: 'meta l4proto tcp ct state established counter name "policy-denied" reject with tcp reset',
    };
    assert.deepEqual(tracer.trace(open), { verdict: 'reset', by, mark: 0 });
    assert.deepEqual(tracer.trace({ ...open, direction: 'reply' }), { verdict: 'reset', by, mark: 0 });
    assert.equal(tracer.trace({ ...open, direction: 'reply', state: 'error' }).verdict, 'drop');
    assert.equal(tracer.trace({ ...to3(80), direction: 'reply', state: 'error' }).verdict, 'accept');
    // The entry was lost: a segment of its midst begins a new one.
    assert.equal(tracer.trace({ ...open, state: 'new', tcpFlags: 0x18 }).verdict, 'reset');
  });

  test(`the tracer: what conntrack does not know is dropped by whoever is isolated (${family})`, () => {
    for (const state of ['invalid', 'untracked'] as const) {
      assert.equal(tracer.trace({ ...to3(80), state }).verdict, 'drop');
      const other = { ...to3(80), connection: plainConnection(6, at[family](3), 1, at[family](4), 80) };
      assert.equal(tracer.trace({ ...other, state }).verdict, 'accept');
    }
  });

  test(`ADR 19: a settled packet meets one comparison, one that is no pod's one more (${family})`, () => {
    const known = { ...to3(81), state: 'established' as const };
    const trace = tracer.trace({ ...known, connection: { ...known.connection, mark: settled | 0x2a } });
    assert.deepEqual(trace, {
      ...{ verdict: 'accept', mark: settled | 0x2a },
      by: { chain: 'policy-known', rule: 'ct mark & 0xffffff00 == 0x00000700 accept' },
    });
    const foreign = tracer.trace({ ...to3(81), fromPod: false, toPod: false });
    assert.deepEqual(foreign.by, { chain: 'policy-forward', rule: 'iifgroup != 28782 oifgroup != 28782 accept' });
    const forward = chains.find((item) => item.kind === 'nft-chain' && item.name === 'policy-forward');
    assert.deepEqual(
      forward?.kind === 'nft-chain' ? forward.rules.slice(0, 2).map(({ text }) => text) : [],
      ['jump policy-known', foreign.by!.rule],
      'they come first',
    );
  });
}

test('the tracer: where pods are ports of a bridge, that is their link', () => {
  const links = { group: 28782, bridge: 'cbr0' };
  const items = [...planPolicyChains({ podLinks: links }), ...planEpoch(7, defaultConnmarkMask), ...elements('ipv4')];
  const tracer = new PolicyTracer(items, links);
  const denied: TracedPacket = {
    ...{ hook: 'forward', fromPod: true, toPod: true, direction: 'original', state: 'new' },
    connection: plainConnection(6, at.ipv4(4), 40_000, at.ipv4(3), 80),
  };
  assert.equal(tracer.trace(denied).verdict, 'drop');
  assert.equal(tracer.trace({ ...denied, fromPod: false }).verdict, 'drop');
  const others = tracer.trace({ ...denied, fromPod: false, toPod: false });
  assert.equal(others.by?.rule, 'iifname != "cbr0" oifname != "cbr0" accept');
});
