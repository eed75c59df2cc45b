import type { FileFacts, Files } from '../files.ts';

/** What a file holds after a power cut, when nobody called fsync: all of it, its beginning, or nothing. */
const survivals = [(text: string) => text, (text: string) => text.slice(0, text.length / 2), () => ''] as const;

/** By name. */
export type DiskState = ReadonlyMap<string, string>;

/** Files in memory, as plain as `Files` needs them; for tests. All is in one directory. */
export class MemoryFiles implements Files {
  readonly contents: Map<string, string>;
  readonly #modifiedMs: number;

  constructor(contents: DiskState = new Map(), modifiedMs = Date.now()) {
    this.contents = new Map(contents);
    this.#modifiedMs = modifiedMs;
  }

  makeDirectory(): void {}

  list(): string[] {
    return [...this.contents.keys()];
  }

  read(file: string): string {
    const text = this.contents.get(nameOf(file));
    if (text === undefined) throw new Error(`ENOENT: ${file}`);
    return text;
  }

  write(file: string, text: string): void {
    this.contents.set(nameOf(file), text);
  }

  rename(from: string, to: string): void {
    const text = this.read(from);
    this.contents.delete(nameOf(from));
    this.contents.set(nameOf(to), text);
  }

  remove(file: string): void {
    this.contents.delete(nameOf(file));
  }

  mayWrite(): void {}

  facts(): FileFacts {
    return { modifiedMs: this.#modifiedMs, uid: process.geteuid?.() ?? 0, mode: 0o600, isFile: true };
  }
}

const isTemporary = (name: string): boolean => name.startsWith('.tmp-');
const nameOf = (file: string): string => file.slice(file.lastIndexOf('/') + 1);

/**
 * Files that remember what was done to each name, so that every state can be had that a power cut may leave: nothing was told to be durable, so each
 * directory entry is as some earlier moment left it, each independent of the others (no file system is that careless; the real ones are in between), and each
 * file's data is whole, cut off, or missing.
 */
export class RecordingFiles extends MemoryFiles {
  /** Of each name, what it stood for one after the other: the text that was written there, undefined for absent. */
  readonly #history = new Map<string, (string | undefined)[]>();
  /** Called after each change. */
  onChange: () => void = () => {};

  override write(file: string, text: string): void {
    super.write(file, text);
    this.#note(file);
  }

  override rename(from: string, to: string): void {
    super.rename(from, to);
    this.#note(from);
    this.#note(to);
  }

  override remove(file: string): void {
    super.remove(file);
    this.#note(file);
  }

  /** Every state that a power cut now may leave, each once. What all that went before the last `settle` wrote is safe. */
  *crashStates(): Iterable<DiskState> {
    const names = [...this.#history].filter(([name]) => !isTemporary(name));
    const leftovers = [...this.#history.keys()].filter(isTemporary);
    const possibilities = names.map(([name, texts]) => [name, possible(texts)] as const);
    // Of temporary files it is all the same which are left; that some may be is one more state.
    for (const left of leftovers.length > 0 ? [[], leftovers] : [[]])
      yield* combinations(possibilities, 0, new Map(left.map((name) => [name, ''])));
  }

  /** As the kernel does by itself after half a minute: all is on disk. */
  settle(): void {
    this.#history.clear();
    for (const [name, text] of this.contents) this.#history.set(name, [text]);
  }

  #note(file: string): void {
    const name = nameOf(file);
    const texts = this.#history.get(name) ?? [undefined];
    texts.push(this.contents.get(name));
    this.#history.set(name, texts);
    this.onChange();
  }
}

/** @param texts the first is what is on disk for certain, the rest may be there or not */
function possible([first, ...rest]: readonly (string | undefined)[]): ReadonlySet<string | undefined> {
  const all = new Set<string | undefined>([first]);
  for (const text of rest)
    if (text === undefined) all.add(undefined);
    else for (const survive of survivals) all.add(survive(text));
  return all;
}

function* combinations(
  names: readonly (readonly [string, ReadonlySet<string | undefined>])[],
  at: number,
  state: Map<string, string>,
): Iterable<DiskState> {
  const next = names[at];
  if (!next) return yield state;
  const [name, texts] = next;
  for (const text of texts) {
    if (text === undefined) state.delete(name);
    else state.set(name, text);
    yield* combinations(names, at + 1, state);
  }
  state.delete(name);
}
