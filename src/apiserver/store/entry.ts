import { deepFreeze, type StoredObject } from '../object.ts';

/** One version of one object. Its bytes are made once, for all who list and watch it. */
export class Entry {
  readonly object: StoredObject;
  readonly version: number;
  #bytes?: Buffer;

  /** The object is frozen from here on. */
  constructor(object: StoredObject, version: number) {
    this.object = deepFreeze(object);
    this.version = version;
  }

  get bytes(): Buffer {
    return (this.#bytes ??= Buffer.from(JSON.stringify(this.object)));
  }

  /** The same object with the version at which it went: what DELETED tells. */
  goneAt(version: number): Entry {
    const { metadata } = this.object;
    return new Entry({ ...this.object, metadata: { ...metadata, resourceVersion: String(version) } }, version);
  }
}

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One change of one object: created (no `before`), changed, or deleted (no `after`). */
export class Change {
  readonly version: number;
  readonly namespace: string;
  readonly name: string;
  readonly before?: Entry;
  readonly after?: Entry;
  #gone?: Entry;
  readonly #lines = new Map<EventType, Buffer>();

  constructor(version: number, namespace: string, name: string, before: Entry | undefined, after: Entry | undefined) {
    this.version = version;
    this.namespace = namespace;
    this.name = name;
    this.before = before;
    this.after = after;
  }

  /** What a watcher sees who was (`did`) and is (`does`) interested in the object; undefined: nothing. */
  seen(did: boolean, does: boolean): { type: EventType; entry: Entry; line: () => Buffer } | undefined {
    if (!did && !does) return undefined;
    const type: EventType = does ? (did ? 'MODIFIED' : 'ADDED') : 'DELETED';
    const entry = does ? this.after! : (this.#gone ??= this.before!.goneAt(this.version));
    return { type, entry, line: () => this.#line(type, entry) };
  }

  #line(type: EventType, entry: Entry): Buffer {
    let line = this.#lines.get(type);
    if (!line) {
      line = eventLine(type, entry);
      this.#lines.set(type, line);
    }
    return line;
  }
}

const end = Buffer.from('}\n');

/** A watch event as it travels: one line of JSON. */
export const eventLine = (type: EventType, entry: Entry): Buffer =>
  Buffer.concat([Buffer.from(`{"type":"${type}","object":`), entry.bytes, end]);
