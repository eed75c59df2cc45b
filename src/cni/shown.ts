/** What is shown of a value; runtimes log whole messages. */
const longest = 300;

/** A value of a runtime's JSON for a message: its JSON, cut where it is long. Never throws, however deep it is. */
export function shown(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? 'undefined';
  } catch {
    // Deeper than the stack: JSON.parse reads it without recursion, JSON.stringify does not write it so.
    return `${Array.isArray(value) ? 'a list' : 'an object'} that is too deep to show`;
  }
  return text.length <= longest ? text : `${text.slice(0, longest)}... (${text.length} characters)`;
}

/**
 * Whether lists and objects are nested deeper than this; the value itself is the first.
 * Without recursion: whoever asks wants to know whether recursion is safe.
 */
export function isDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const inner = level.filter((one): one is object => typeof one === 'object' && one !== null);
    if (inner.length > 0 && depth === levels) return true;
    level = inner.flatMap((one): unknown[] => Object.values(one));
  }
  return false;
}
