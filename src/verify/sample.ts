/** All ordered pairs of different things, or for each thing so many others. */
export function orderedPairs<T>(
  things: readonly T[],
  { allPairsUpTo, seed }: { allPairsUpTo: number; seed: number },
): { pairs: [T, T][]; note?: string } {
  const n = things.length;
  if (n <= allPairsUpTo) {
    const pairs = things.flatMap((a) => things.filter((b) => b !== a).map((b): [T, T] => [a, b]));
    return { pairs };
  }
  // As many attempts as all pairs of the largest number that is tried whole.
  const each = Math.max(1, Math.min(n - 1, Math.floor((allPairsUpTo * (allPairsUpTo - 1)) / n)));
  const random = generator(seed);
  // Steps along a shuffled circle, so that everything is sender and receiver equally often.
  const circle = shuffled(things, random);
  const steps = shuffled(
    Array.from({ length: n - 1 }, (_, i) => i + 1),
    random,
  ).slice(0, each);
  const pairs = steps.flatMap((step) => circle.map((a, i): [T, T] => [a, circle[(i + step) % n]!]));
  return { pairs, note: `sampled ${pairs.length} of ${n * (n - 1)} pairs, seed ${seed}` };
}

/** So many of the things, chosen by the seed, in their own order. */
export function sampled<T>(things: readonly T[], most: number, seed: number): T[] {
  if (things.length <= most) return [...things];
  const chosen = new Set(shuffled(things, generator(seed)).slice(0, most));
  return things.filter((thing) => chosen.has(thing));
}

function shuffled<T>(things: readonly T[], random: () => number): T[] {
  const result = [...things];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** mulberry32: the same numbers for the same seed, on every machine. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
