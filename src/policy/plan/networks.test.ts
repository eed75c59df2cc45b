import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { Random } from '../testkit/random.ts';
import { applyCover, type Cover, cutFamily, type Piece, pieceAt, wholeFamily } from './networks.ts';
import type { Atom } from './peers.ts';

const texts = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.1.3.0/24', '10.1.2.128/25', '255.255.255.255/32', '128.0.0.0/1'];
const texts6 = ['::/0', 'fd00::/8', 'fd00:1::/32', 'fd00:1::7/128', 'ff00::/8', '8000::/1'];
const prefixes = [...texts, ...texts6].map((text) => Prefix.parse(text));

const coverOf = (id: number, random: Random): Cover => ({
  atom: id === 0 ? undefined : ({ id } as Atom),
  cidrs: random.times(1, 3, () => random.pick(prefixes)),
  except: random.chance(0.4) ? random.times(1, 2, () => random.pick(prefixes)) : [],
});

/** Neighbours that nothing tells apart are one. */
const textOf = (pieces: readonly Piece[]): string[] => {
  const lines: string[] = [];
  let before = '';
  for (const { first, atoms, isUnknown } of pieces) {
    const what = `${atoms.map(({ id }) => id).join()} ${isUnknown}`;
    if (what !== before) lines.push(`${first} ${what}`);
    before = what;
  }
  return lines;
};

test('networks that come and go one by one leave the pieces that all of them at once are cut into', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    for (const family of families) {
      const pieces = wholeFamily(family);
      const covers = new Map<number, Cover>();
      for (let step = 0; step < 12; step++) {
        const id = random.whole(0, 6);
        const known = covers.get(id);
        if (known) applyCover(pieces, family, known, false);
        covers.delete(id);
        if (known && random.chance(0.5)) continue;
        const cover = coverOf(id, random);
        covers.set(id, cover);
        applyCover(pieces, family, cover, true);
        assert.ok(pieces.every(({ isGone }) => !isGone));
        assert.deepEqual(textOf(pieces), textOf(cutFamily(family, covers.values())), `seed ${seed}, step ${step}`);
        assert.equal(textOf(pieces).length, pieces.length, `seed ${seed}: neighbours that are alike`);
      }
      for (let i = 1; i < pieces.length; i++) assert.equal(`${pieces[i - 1]!.last.offset(1)}`, `${pieces[i]!.first}`);
      for (const prefix of prefixes.filter((one) => one.family === family)) {
        const { first, last } = pieceAt(pieces, prefix.address);
        assert.ok(first.compare(prefix.address) <= 0 && prefix.address.compare(last) <= 0);
      }
    }
  }
});

test('an exception is out of the network, whatever else covers it', () => {
  const atom = { id: 7 } as Atom;
  const cover = { atom, cidrs: [Prefix.parse('10.0.0.0/8')], except: [Prefix.parse('10.1.0.0/16')] };
  const pieces = cutFamily('ipv4', [cover, { atom: undefined, cidrs: [Prefix.parse('10.1.0.0/24')], except: [] }]);
  const at = (text: string): string => {
    const { atoms, isUnknown } = pieceAt(pieces, IpAddr.parse(text));
    return `${atoms.length} ${isUnknown}`;
  };
  assert.deepEqual([at('9.0.0.1'), at('10.0.0.1'), at('10.1.0.1'), at('10.1.9.1'), at('10.2.0.1')], ['0 false', '1 false', '0 true', '0 false', '1 false']);
});
