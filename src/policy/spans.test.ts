import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, type Family, IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { matchesPeer } from './match.ts';
import type { Peer, Rule } from './model.ts';
import { endAt } from './packet.ts';
import { addressAt, endPlace, lastBefore, networksOf, overlapOf, spansOf } from './spans.ts';
import { Random } from './testkit/random.ts';
import { makeWorld } from './world.ts';

const world = makeWorld({});
const bits = { ipv4: 32, ipv6: 128 };

/** Few bits differ, at the beginning, in the midst and at the end, so that networks lie in and beside each other. */
function randomAddress(family: Family, random: Random): IpAddr {
  const size = bits[family] / 8;
  const bytes = new Uint8Array(size);
  for (const at of [0, 1, size - 1]) bytes[at] = random.pick([0, 1, 2, 127, 128, 254, 255]);
  return IpAddr.fromBytes(bytes);
}

const randomPrefix = (family: Family, random: Random): Prefix =>
  Prefix.of(randomAddress(family, random), random.pick([0, 1, 7, 8, 9, 15, 16, bits[family] - 8, bits[family] - 1, bits[family]]));

function randomRule(random: Random): Rule {
  const peers = random.times(1, 6, (): Peer => {
    const family = random.pick(families);
    const cidrs = random.times(1, 2, () => randomPrefix(family, random));
    return { at: '', kind: 'networks', cidrs, except: random.times(0, 3, () => randomPrefix(family, random)) };
  });
  return { at: '', action: 'Accept', peers, ports: undefined };
}

test('NP6: the networks of a rule in one mean an address exactly if one of its peers does, at every end of a span and anywhere', () => {
  const counts = { meant: 0, asked: 0 };
  for (let seed = 1; seed <= 400; seed++) {
    const random = new Random(seed);
    const rule = randomRule(random);
    const { spans, size } = networksOf(rule)!;
    assert.equal(size, spans.ipv4.length + spans.ipv6.length);
    for (const family of families) {
      const ends = spans[family].flatMap(({ from, to }) => [addressAt(family, from), lastBefore(family, to)]);
      const behind = spans[family].flatMap(({ to }) => (to === endPlace(family) ? [] : addressAt(family, to)));
      const others = Array.from({ length: 40 }, () => randomAddress(family, random));
      for (const address of [...ends, ...behind, ...others]) {
        const place = family === 'ipv4' ? Number(address.toBigInt()) : address.toBigInt();
        const found = spans[family].filter(({ from, to }) => from <= place && place < to).length;
        const expected = rule.peers!.some((peer) => matchesPeer(world, peer, endAt(world, address)));
        assert.equal(found, expected ? 1 : 0, `seed ${seed}: ${address}`);
        counts.asked++;
        if (expected) counts.meant++;
      }
      for (let i = 1; i < spans[family].length; i++) assert.ok(spans[family][i - 1]!.to < spans[family][i]!.from, `seed ${seed}: apart`);
    }
  }
  assert.ok(counts.meant > counts.asked / 10 && counts.meant < counts.asked * 0.9, JSON.stringify(counts));
});

test('rules that mean the same addresses have the same key, however they are written, and others another one', () => {
  const keyOf = (...peers: [cidr: string, ...except: string[]][]): string =>
    networksOf({
      ...{ at: '', action: 'Accept', ports: undefined },
      peers: peers.map(([cidr, ...except]) => ({
        ...{ at: '', kind: 'networks', cidrs: [Prefix.parse(cidr)], except: except.map((one) => Prefix.parse(one)) },
      })),
    })!.key;
  assert.equal(keyOf(['10.0.0.0/8']), keyOf(['10.128.0.0/9'], ['10.0.0.0/9'], ['10.1.0.0/16']));
  assert.equal(keyOf(['0.0.0.0/0', '10.0.0.0/8'], ['0.0.0.0/0', '11.0.0.0/8']), keyOf(['0.0.0.0/0']));
  assert.notEqual(keyOf(['::/0']), keyOf(['0.0.0.0/0']));
  const many = (from: number): string => keyOf(...Array.from({ length: 300 }, (_, i): [string] => [`10.${from}.${i >> 7}.${(2 * i) & 255}/32`]));
  assert.equal(many(1), many(1));
  assert.notEqual(many(1), many(2));
  assert.ok(many(1).length < 100);
});

test('overlap counts each piece once for each of the networks that it is in', () => {
  const count = (...all: string[][]): number => overlapOf(all.map((cidrs) => spansOf(cidrs.map((cidr) => Prefix.parse(cidr)))));
  assert.equal(count(), 0);
  assert.equal(count(['10.0.0.0/8', '11.0.0.0/8']), 1);
  assert.equal(count(['10.0.0.0/8', '12.0.0.0/8'], ['fd00::/8']), 3);
  // Before, in and behind the inner one.
  assert.equal(count(['10.0.0.0/8'], ['10.1.0.0/16']), 4);
  assert.equal(count(['0.0.0.0/0', '::/0'], ['0.0.0.0/1', '::/1']), 6);
});
