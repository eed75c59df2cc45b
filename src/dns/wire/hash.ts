import { lowerByte, maxLabels, type WireName } from './names.ts';

const basis = 0x811c9dc5 | 0;
const prime = 0x01000193;

/**
 * FNV-1a over a name from its last byte to its first, without case: walking a question's name once gives the hash of every suffix, so that the closest
 * existing ancestor is found without hashing again.
 * @param name in lower case
 */
export function hashName(name: WireName): number {
  let hash = basis;
  for (let i = name.length - 2; i >= 0; i--) hash = Math.imul(hash ^ name.charCodeAt(i), prime);
  return hash;
}

/**
 * The hashes of a name in a message and of all its ancestors.
 * @param labelAt offset of each label within the name; one more entry gives the offset of the root
 * @param hashes gets one for each label: `hashes[0]` is the whole name's
 */
export function hashSuffixes(buffer: Uint8Array, nameAt: number, labelAt: Uint16Array, labels: number, hashes: Int32Array): void {
  let hash = basis;
  for (let label = labels - 1; label >= 0; label--) {
    const begin = nameAt + labelAt[label]!;
    for (let i = nameAt + labelAt[label + 1]! - 1; i >= begin; i--) hash = Math.imul(hash ^ lowerByte[buffer[i]!]!, prime);
    hashes[label] = hash;
  }
}

export const hashSlots: number = maxLabels + 1;
