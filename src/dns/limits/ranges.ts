import type { Prefix } from '../../net/prefix.ts';
import type { ClientAddress } from '../wire/client.ts';

interface Range {
  family: 4 | 6;
  words: Int32Array;
  masks: Int32Array;
}

/** Ranges of addresses, compared as numbers: nothing is allocated for a question. They are few. */
export class Ranges {
  readonly #all: readonly Range[];

  constructor(prefixes: readonly Prefix[]) {
    this.#all = prefixes.map(rangeOf);
  }

  has({ family, words }: ClientAddress): boolean {
    for (const range of this.#all) if (range.family === family && isIn(words, range)) return true;
    return false;
  }
}

function isIn(words: Int32Array, range: Range): boolean {
  for (let i = 0; i < 4; i++) if ((words[i]! & range.masks[i]!) !== range.words[i]!) return false;
  return true;
}

function rangeOf({ address, length, family }: Prefix): Range {
  const bytes = Buffer.alloc(16);
  bytes.set(address.bytes);
  const masks = Int32Array.from({ length: 4 }, (_, i) => {
    const bits = Math.min(Math.max(length - 32 * i, 0), 32);
    return bits === 0 ? 0 : -1 << (32 - bits);
  });
  return { family: family === 'ipv4' ? 4 : 6, masks, words: masks.map((mask, i) => bytes.readInt32BE(4 * i) & mask) };
}
