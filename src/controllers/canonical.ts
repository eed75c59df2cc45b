/** JSON with sorted keys, without what is null, undefined or empty: two objects that mean the same are the same text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const parts = Object.entries(value)
    .filter(([, one]) => one !== undefined && one !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => [name, canonicalJson(one)] as const)
    .filter(([, text]) => text !== '{}' && text !== '[]')
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  return `{${parts.join(',')}}`;
}

/** FNV-1a, 32 bits. */
function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** Without vowels and look-alikes: no words, as apimachinery's rand.SafeEncodeString. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** A short name-safe hash of a value, as `pod-template-hash` and `controller-revision-hash` are; `collisions` makes another one. */
export const safeHash = (value: unknown, collisions = 0): string =>
  [...String(fnv32a(`${canonicalJson(value)}${collisions || ''}`))].map((digit) => alphabet[digit.charCodeAt(0) % 27]).join('');
