import { classIn } from '../wire/constants.ts';
import type { Message, RecordAt } from '../wire/message.ts';
import { lowerName, type WireName } from '../wire/names.ts';
import { takeApart } from './rdata.ts';

/** Compression pointers have 14 bits. */
const lastPointer = 0x3fff;

/** Records behind a question, as bytes that can be sent to everyone who asks it. */
export interface Encoded {
  records: string;
  /** Two for each record, relative to `records`: where its TTL stands, and where it ends. */
  marks: string;
  count: number;
}

const u16 = (value: number): string => String.fromCharCode((value >> 8) & 255, value & 255);

/**
 * Writes chosen records of a received message anew, behind the same question: pointers lead only to what was chosen, so that nothing of the rest is
 * carried along. Owners that are the question's name become pointers to it, and so come out in every asker's own case.
 */
export class RecordWriter {
  readonly #begin: number;
  readonly #names = new Map<WireName, number>();
  readonly #marks: number[] = [];
  #out = '';

  /** @param name the question's, in lower case. @param begin of the records in the message */
  constructor(name: WireName, begin: number) {
    this.#begin = begin;
    for (let i = 0; name.charCodeAt(i) > 0; i += name.charCodeAt(i) + 1)
      this.#names.set(name.slice(i), begin - 4 - name.length + i);
  }

  /** Where the last name written in data stands in the message. */
  lastNameAt = 0;

  /** @throws RangeError when the data are malformed, or all has become too long */
  add(owner: WireName, message: Message, record: RecordAt, ttl: number): void {
    this.#name(owner, true);
    this.#out += u16(record.type) + u16(classIn);
    this.#marks.push(this.#out.length);
    this.#out += u16(ttl >>> 16) + u16(ttl);
    const lengthAt = this.#out.length;
    // Names in the data are registered where they will stand: behind the two bytes of length.
    const head = this.#out;
    this.#out += '\0\0';
    for (const piece of takeApart(message, record)) {
      if ('bytes' in piece) this.#out += piece.bytes;
      else {
        this.lastNameAt = this.#begin + this.#out.length;
        this.#name(piece.name, piece.compress);
      }
    }
    const data = this.#out.slice(lengthAt + 2);
    this.#out = head + u16(data.length) + data;
    this.#marks.push(this.#out.length);
    if (this.#begin + this.#out.length > 0xffff) throw new RangeError('an answer is longer than a message can be');
  }

  get count(): number {
    return this.#marks.length / 2;
  }

  end(): Encoded {
    // Flat, where putting together left a tree.
    const records = Buffer.from(this.#out, 'latin1').toString('latin1');
    return { records, marks: String.fromCharCode(...this.#marks), count: this.count };
  }

  #name(name: WireName, compress: boolean): void {
    for (let i = 0; ; ) {
      const length = name.charCodeAt(i);
      if (length === 0) {
        this.#out += '\0';
        return;
      }
      const suffix = lowerName(name.slice(i));
      const known = this.#names.get(suffix);
      if (compress && known !== undefined) {
        this.#out += u16(0xc000 | known);
        return;
      }
      const here = this.#begin + this.#out.length;
      if (known === undefined && here <= lastPointer) this.#names.set(suffix, here);
      this.#out += name.slice(i, i + 1 + length);
      i += 1 + length;
    }
  }
}
