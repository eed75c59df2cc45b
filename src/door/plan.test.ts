import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { keyOf } from '../reconcile/model.ts';
import { linkLocalOf, planDoor, planGuest, reasons } from './index.ts';

const mac = Mac.parse('0a:58:0a:01:00:02');
const at = IpAddr.parse;

test('T1: a pod may send from its addresses and, for neighbour discovery, from the link-local one of its MAC', () => {
  const items = planGuest({ link: 'pod00000001', mac, addresses: ['10.1.0.2', 'fd01::2'].map(at) }, true);
  assert.deepEqual(
    items.map(({ family, set, key }) => `${family ?? 'inet'} ${set} ${key}`),
    [
      'inet door-guests4 "pod00000001" . 0a:58:0a:01:00:02 . 10.1.0.2',
      'inet door-guests6 "pod00000001" . 0a:58:0a:01:00:02 . fd01::2',
      'inet door-guests6 "pod00000001" . 0a:58:0a:01:00:02 . fe80::858:aff:fe01:2',
      'arp door-guests4 "pod00000001" . 0a:58:0a:01:00:02 . 10.1.0.2',
    ],
  );
  assert.equal(`${linkLocalOf(mac)}`, 'fe80::858:aff:fe01:2');
  assert.deepEqual(
    planGuest({ link: 'cbr0', mac, addresses: [at('10.1.0.2')] }, false).map(({ set }) => set),
    ['door-guests4'],
    'T5: IPv6 from a pod that has none is not let in',
  );
});

test('the door is the same for any number of pods, and every chain, set and counter that it names is there', () => {
  for (const bridge of [undefined, 'cbr0']) {
    const all = planDoor(bridge === undefined ? { group: 7, arp: true } : { group: 7, bridge, arp: true });
    const counted = new Set<string>();
    for (const family of [undefined, 'arp'] as const) {
      const items = all.filter((item) => 'family' in item === (family !== undefined));
      const keys = new Set(items.map(keyOf));
      const of = family === undefined ? '' : `${family} `;
      const expressions = items.flatMap((item) =>
        item.kind === 'nft-chain' ? item.rules.flatMap((rule) => rule.expressions) : [],
      );
      for (const expression of expressions) {
        if (expression.name === 'lookup') assert.ok(keys.has(`nft-set ${of}${expression.set}`));
        if (expression.name === 'objref') {
          assert.ok(keys.has(`nft-counter ${of}${expression.object}`));
          counted.add(expression.object!);
        }
        const target = expression.name === 'immediate' ? /^goto (.*)$/.exec(expression.data ?? '')?.[1] : undefined;
        if (target !== undefined) assert.ok(keys.has(`nft-chain ${of}${target}`), target);
      }
      assert.equal(items.filter(({ kind }) => kind === 'nft-set').length, family === undefined ? families.length : 1);
    }
    assert.deepEqual([...counted].sort(), Object.keys(reasons).sort(), 'each reason is counted somewhere');
  }
});
