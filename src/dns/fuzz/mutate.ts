import type { Random } from './random.ts';

/** Bytes that stand at edges: lengths of labels, compression pointers, counts. */
const edges = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xfe, 0xff, 12, 41];

/**
 * Makes a packet out of one that is well-formed: some bytes changed, cut, repeated, or exchanged with those of another one; sometimes wholly made up.
 * @param out room for it
 * @returns its length
 */
export function mutate(random: Random, corpus: readonly Buffer[], out: Buffer): number {
  const from = corpus[random.below(corpus.length)]!;
  let length = from.copy(out);
  const kind = random.below(32);
  if (kind === 0) {
    length = random.below(120);
    for (let i = 0; i < length; i++) out[i] = random.next();
    return length;
  }
  // Some stay as they are.
  for (let changes = kind < 3 ? 0 : 1 + random.below(4); changes > 0; changes--) length = change(random, corpus, out, length);
  return length;
}

function change(random: Random, corpus: readonly Buffer[], out: Buffer, length: number): number {
  if (length === 0) return 0;
  const at = random.below(length);
  switch (random.below(10)) {
    case 0:
      out[at] = out[at]! ^ (1 << random.below(8));
      return length;
    case 1:
      out[at] = random.next();
      return length;
    case 2:
      out[at] = edges[random.below(edges.length)]!;
      return length;
    case 3:
      return at;
    case 4: {
      // More than there is: zeros, or the packet's own beginning.
      const more = Math.min(random.below(40), out.length - length);
      if (random.below(2) === 0) out.fill(0, length, length + more);
      else out.copyWithin(length, 0, more);
      return Math.min(length + more, out.length);
    }
    case 5: {
      // Some bytes taken out.
      const gone = Math.min(1 + random.below(12), length - at);
      out.copyWithin(at, at + gone, length);
      return length - gone;
    }
    case 6: {
      // Some bytes doubled.
      const twice = Math.min(1 + random.below(40), length - at, out.length - length);
      out.copyWithin(at + twice, at, length);
      return length + twice;
    }
    case 7:
      // Counts of the sections.
      out[4 + random.below(8)] = random.below(4) === 0 ? random.next() : random.below(4);
      return length;
    case 8: {
      // A pointer, to anywhere or to itself.
      if (at + 2 > length) return length;
      const to = random.below(3) === 0 ? at : random.below(length + 4);
      out[at] = 0xc0 | (to >> 8);
      out[at + 1] = to;
      return length;
    }
    default: {
      const other = corpus[random.below(corpus.length)]!;
      const begin = random.below(other.length);
      const copied = other.copy(out, at, begin, Math.min(other.length, begin + out.length - at));
      return Math.max(length, at + copied);
    }
  }
}
