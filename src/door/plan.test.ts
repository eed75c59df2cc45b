import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { keyOf } from '../reconcile/model.ts';
import { linkLocalOf, planDoor, planGuest, reasons } from './index.ts';

const mac = Mac.parse('0a:58:0a:01:00:02');
const at = IpAddr.parse;

test('T1: a pod may send from its addresses and, for neighbour discovery, from the link-local one of its MAC', () => {
  const items = planGuest({ link: 'pod00000001', mac, addresses: ['10.1.0.2', 'fd01::2'].map(at) });
  assert.deepEqual(
    items.map(({ set, key }) => `${set} ${key}`),
    [
      'door-guests4 "pod00000001" . 0a:58:0a:01:00:02 . 10.1.0.2',
      'door-guests6 "pod00000001" . 0a:58:0a:01:00:02 . fd01::2',
      'door-guests6 "pod00000001" . 0a:58:0a:01:00:02 . fe80::858:aff:fe01:2',
    ],
  );
  assert.equal(`${linkLocalOf(mac)}`, 'fe80::858:aff:fe01:2');
  assert.deepEqual(
    planGuest({ link: 'cbr0', mac, addresses: [at('10.1.0.2')] }).map(({ set }) => set),
    ['door-guests4'],
    'T5: IPv6 from a pod that has none is not let in',
  );
});

test('the door is the same for any number of pods, and every chain, set and counter that it names is there', () => {
  for (const bridge of [undefined, 'cbr0']) {
    const items = planDoor(bridge === undefined ? { group: 7 } : { group: 7, bridge });
    const keys = new Set(items.map(keyOf));
    const expressions = items.flatMap((item) =>
      item.kind === 'nft-chain' ? item.rules.flatMap((rule) => rule.expressions) : [],
    );
    for (const expression of expressions) {
      if (expression.name === 'lookup') assert.ok(keys.has(`nft-set ${expression.set}`));
      if (expression.name === 'objref') assert.ok(keys.has(`nft-counter ${expression.object}`));
      const target = expression.name === 'immediate' ? /^goto (.*)$/.exec(expression.data ?? '')?.[1] : undefined;
      if (target !== undefined) assert.ok(keys.has(`nft-chain ${target}`), target);
    }
    const counted = new Set(expressions.flatMap((expression) => (expression.name === 'objref' ? [expression.object] : [])));
    assert.deepEqual([...counted].sort(), Object.keys(reasons).sort(), 'each reason is counted somewhere');
    assert.equal(items.filter(({ kind }) => kind === 'nft-set').length, families.length);
  }
});
