/**
 * Puts endpoints into slots so that as little as possible changes: who stays keeps its slot, who comes takes the place of one who went, and what holes
 * are left then are filled from the end. There are no holes in the result.
 *
 * @param before endpoints by slot
 * @param wanted each once
 */
export function assignSlots(before: readonly string[], wanted: ReadonlySet<string>): string[] {
  const slots: (string | undefined)[] = before.map((endpoint) => (wanted.has(endpoint) ? endpoint : undefined));
  const present = new Set(before);
  const coming = [...wanted].filter((endpoint) => !present.has(endpoint));
  for (let i = 0; i < slots.length && coming.length > 0; i++) slots[i] ??= coming.shift();
  slots.push(...coming);
  for (let i = 0; i < slots.length; i++) {
    while (slots.length > i && slots.at(-1) === undefined) slots.pop();
    if (i < slots.length && slots[i] === undefined) slots[i] = slots.pop();
  }
  return slots as string[];
}
