import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choiceChains } from './choice-chains.ts';
import { planLayout } from './layout.ts';
import { serviceNode } from './testkit/testbed.ts';
import { classKey, classOf } from './values.ts';

const rules = new Map(choiceChains.map((chain) => [chain.name, chain.rules.map(({ text }) => text)]));
const verdicts = new Map(
  planLayout(serviceNode, []).flatMap((item) => (item.kind === 'nft-element' && /^(balancers|redraws|pickers)$/.test(item.set) ? [[`${item.set} ${item.key}`, item.data!]] : [])),
);

/**
 * How likely each slot is chosen, of `count` that hold an endpoint, by the rules as they are written: a draw below N meets each of N slots alike, and one that is
 * empty ends the rule. @returns what is left for nobody
 */
function play(chain: string, count: number, likely: number, shares: Float64Array): number {
  let left = likely;
  const follow = (verdict: string, part: number): number => {
    const [how, to] = verdict.split(' ') as [string, string];
    const back = play(to, count, part, shares);
    return how === 'jump' ? back : 0;
  };
  const texts = rules.get(chain)!;
  for (const [i, text] of texts.entries()) {
    const drawn = /(dnat ip to )?meta priority .*numgen random mod (\d+).* map @(slots4|affinity-slots)( return| goto translate)?$/.exec(text);
    const dispatch = /^meta priority & \S+ vmap @(balancers|redraws|pickers)$/.exec(text)?.[1];
    if (drawn) {
      const among = Number(drawn[2]);
      assert.ok(drawn[1] ?? drawn[4] ?? i === texts.length - 1, `${chain}: what a rule has picked, the next would pick anew`);
      for (let slot = 0; slot < Math.min(among, count); slot++) shares[slot]! += left / among;
      left *= Math.max(0, among - count) / among;
    } else if (dispatch) {
      const verdict = verdicts.get(`${dispatch} ${classKey(classOf(count))}`);
      if (verdict === undefined) continue;
      left = follow(verdict, left);
      if (verdict.startsWith('goto')) return left;
    } else if (/^(jump|goto) /.test(text)) {
      left = follow(text, left);
    } else assert.match(text, /@slots6$|@affinity-counts$/, `${chain}: ${text}`);
  }
  return left;
}

/** All up to 66, and around each power of two above. */
const counts = [...Array.from({ length: 66 }, (_, i) => i + 1), ...[7, 8, 9, 10, 11, 12, 13].flatMap((bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1])];

for (const [from, what] of [
  ['balance', 'each endpoint has the same share of connections'],
  ['pick', 'with session affinity each endpoint has the same share of new clients'],
] as const)
  test(`SD1: ${what}, within 0.5 percent, whatever their number`, () => {
    for (const count of counts.filter((one) => one <= 8192)) {
      const shares = new Float64Array(count);
      play(from, count, 1, shares);
      const sum = shares.reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum - 1) < 1e-9, `of ${count}: ${sum} in all`);
      for (const [slot, share] of shares.entries()) assert.ok(Math.abs(share * count - 1) < 0.005, `slot ${slot} of ${count}: ${share * count} of its part`);
    }
  });
