import { formatClassid } from './datatypes.ts';
import type { Expression } from './expressions.ts';
import { type Part, priority, type Value } from './rule.ts';

/** Parts of rules by which packets themselves write sets, and what those need. */

const hostU32 = (value: number): string => `0x${Buffer.from(Uint32Array.of(value).buffer).toString('hex')}`;

/** `meta priority & 1:f000`. In a concatenation it must come first: Debian 12's nft reads a mask nowhere else. */
export const maskedPriority = (mask: number): Value => ({
  text: `meta priority & ${formatClassid(mask)}`,
  words: 1,
  load: (register) => [
    ...priority.load(register),
    { name: 'bitwise', sreg: register, dreg: register, length: 4, mask: hostU32(mask), xor: '0x00000000' },
  ],
});

/** nft prints a time by its units. */
function timeText(seconds: number): string {
  const units: [string, number][] = [
    ['d', Math.floor(seconds / 86400)],
    ['h', Math.floor(seconds / 3600) % 24],
    ['m', Math.floor(seconds / 60) % 60],
    ['s', seconds % 60],
  ];
  return units.map(([unit, count]) => (count > 0 ? `${count}${unit}` : '')).join('');
}

const dynamic = (op: 'update' | 'delete', map: string, key: Value, data: Value, seconds: number): Part => {
  const time = seconds > 0 ? ` timeout ${timeText(seconds)}` : '';
  const expressions: Expression[] = [
    ...key.load(0),
    ...data.load(key.words),
    { name: 'dynset', set: map, op, sregKey: 0, sregData: key.words, timeoutMs: seconds * 1000 },
  ];
  return { text: `${op} @${map} { ${key.text}${time} : ${data.text} }`, needs: key.needs, expressions };
};

/**
 * Writes an element into a map with flags `dynamic` and `timeout`. One that is there lives for the time anew and keeps its data. No match
 * when the map is full.
 */
export const updateElement = (map: string, key: Value, data: Value, seconds: number): Part =>
  dynamic('update', map, key, data, seconds);

/** Writes an element into a set with flags `dynamic` and `timeout`, or has the one that is there live for the time anew, and counts the packet there. No match when the set is full. */
export const countElement = (set: string, key: Value, seconds: number): Part => ({
  text: `update @${set} { ${key.text} timeout ${timeText(seconds)} counter }`,
  needs: key.needs,
  expressions: [...key.load(0), { name: 'dynset', set, op: 'update', sregKey: 0, timeoutMs: seconds * 1000, counter: true }],
});

/** Deletes an element, if there is one; the data says nothing. */
export const deleteElement = (map: string, key: Value, data: Value): Part => dynamic('delete', map, key, data, 0);
