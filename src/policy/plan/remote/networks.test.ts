import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families, IpAddr } from '../../../net/ip.ts';
import { Prefix } from '../../../net/prefix.ts';
import { Random } from '../../testkit/random.ts';
import { applyCover, type Cover, cutFamily, type Piece, pieceAt, wholeFamily } from './networks.ts';
import { networksOf, spansOf } from '../../spans.ts';
import type { Atom } from './peers.ts';
import { Regions } from './regions.ts';

const texts = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.1.3.0/24', '10.1.2.128/25', '255.255.255.255/32', '128.0.0.0/1'];
const texts6 = ['::/0', 'fd00::/8', 'fd00:1::/32', 'fd00:1::7/128', 'ff00::/8', '8000::/1'];
const prefixes = [...texts, ...texts6].map((text) => Prefix.parse(text));

/** @param id 0: the pod CIDRs */
const coverOf = (id: number, random: Random): Cover => {
  const peer = {
    ...{ at: '', kind: 'networks' as const, cidrs: random.times(1, 3, () => random.pick(prefixes)) },
    except: random.chance(0.4) ? random.times(1, 2, () => random.pick(prefixes)) : [],
  };
  const { spans } = networksOf({ at: '', action: 'Accept', peers: [peer], ports: undefined })!;
  return { atom: id === 0 ? undefined : ({ id } as Atom), scope: random.pick(['', 'a', 'b']), spans };
};

/** Neighbours that nothing tells apart are one. */
const textOf = (pieces: readonly Piece[]): string[] => {
  const lines: string[] = [];
  let before = '';
  for (const { first, regions, isUnknown } of pieces) {
    const what = `${regions.map(({ scope, atoms }) => `${scope}: ${atoms.map(({ id }) => id).join()}`).join('; ')} ${isUnknown}`;
    if (what !== before) lines.push(`${first} ${what}`);
    before = what;
  }
  return lines;
};

test('networks that come and go one by one leave the pieces that all of them at once are cut into', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    for (const family of families) {
      let next = 1;
      const regions = new Regions();
      const pieces = wholeFamily(family);
      const covers = new Map<number, Cover>();
      for (let step = 0; step < 12; step++) {
        const id = random.whole(0, 6);
        const known = covers.get(id);
        if (known) applyCover(regions, pieces, family, known, false);
        covers.delete(id);
        if (known && random.chance(0.5)) continue;
        const cover = coverOf(id === 0 ? 0 : next++, random);
        covers.set(id, cover);
        applyCover(regions, pieces, family, cover, true);
        regions.sweep(pieces.map((piece) => piece.regions));
        assert.ok(pieces.every(({ isGone }) => !isGone));
        assert.deepEqual(textOf(pieces), textOf(cutFamily(regions, family, covers.values())), `seed ${seed}, step ${step}`);
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

test('a network stays out of a network that lies in it, and the pod networks are told apart by themselves', () => {
  const atom = { id: 7 } as Atom;
  const peer = { at: '', kind: 'networks' as const, cidrs: [Prefix.parse('10.0.0.0/8')], except: [Prefix.parse('10.1.0.0/16')] };
  const { spans } = networksOf({ at: '', action: 'Accept', peers: [peer], ports: undefined })!;
  const pods = { atom: undefined, scope: '', spans: spansOf([Prefix.parse('10.1.0.0/24')]) };
  const pieces = cutFamily(new Regions(), 'ipv4', [{ atom, scope: 'shop', spans }, pods]);
  const at = (text: string): string => {
    const { regions, isUnknown } = pieceAt(pieces, IpAddr.parse(text));
    return `${regions.length} ${isUnknown}`;
  };
  assert.deepEqual([at('9.0.0.1'), at('10.0.0.1'), at('10.1.0.1'), at('10.1.9.1'), at('10.2.0.1')], ['0 false', '1 false', '0 true', '0 false', '1 false']);
});
