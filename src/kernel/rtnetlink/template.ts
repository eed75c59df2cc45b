import { Writer } from '../../wire/writer.ts';
import type { KernelError } from '../errors.ts';
import { NetlinkBatch } from '../netlink/batch.ts';
import { type Operation, RtBatch } from './batch.ts';

/** Unsigned 32 bits in the host's byte order; bytes as they are; ASCII without an end mark. */
export type Slot = number | Uint8Array | string;

export interface TemplateOptions<Values> {
  /** May depend on nothing that differs from use to use but on what `slotsOf` tells. */
  write(batch: RtBatch, values: Values): void;
  /** What differs, always as many, each always as long. */
  slotsOf(values: Values): readonly Slot[];
  /** Each slot has another value in the second one, and no two slots of one are alike. */
  examples: readonly [Values, Values];
}

const capacity = 1 << 12;

/**
 * Messages that are written often and differ in a few values only: encoded for two examples when it is made, which tells where the values stand; from then on copied, and the
 * values put in place. Encoding takes ten times as long.
 */
export class RtTemplate<Values> {
  readonly #write: TemplateOptions<Values>['write'];
  readonly #slotsOf: TemplateOptions<Values>['slotsOf'];
  readonly #batch: NetlinkBatch;
  readonly #places: readonly (readonly number[])[];
  readonly #fulfilled: readonly (readonly string[])[];

  /** @throws Error when the examples differ elsewhere than in their slots */
  constructor({ write, slotsOf, examples: [first, second] }: TemplateOptions<Values>) {
    this.#write = write;
    this.#slotsOf = slotsOf;
    this.#batch = new NetlinkBatch(capacity);
    const { operations } = this.#encode(this.#batch, first);
    this.#fulfilled = operations.map(({ fulfilled }) => fulfilled);
    const other = new NetlinkBatch(capacity);
    this.#encode(other, second);
    const values = slotsOf(second).map(bytesOf);
    this.#places = slotsOf(first).map((slot, i) => placesOf(this.#batch.written, bytesOf(slot), other.written, values[i]!));
    if (!this.fill(new NetlinkBatch(capacity), second).written.equals(other.written))
      throw new Error('the messages of a template differ in more than its slots');
  }

  /** @param batch an empty one */
  fill(batch: NetlinkBatch, values: Values): NetlinkBatch {
    batch.copy(this.#batch);
    const slots = this.#slotsOf(values);
    for (let i = 0; i < slots.length; i++) for (const at of this.#places[i]!) put(batch, at, slots[i]!);
    return batch;
  }

  /** Whether an error of the n-th message means that its wish is fulfilled already. */
  isFulfilled(index: number, error: KernelError): boolean {
    return this.#fulfilled[index]?.includes(error.errno) ?? false;
  }

  /** What the messages do, for an error. */
  operations(values: Values): readonly Operation[] {
    return this.#encode(new NetlinkBatch(capacity), values).operations;
  }

  #encode(batch: NetlinkBatch, values: Values): RtBatch {
    const encoded = new RtBatch(batch);
    this.#write(encoded, values);
    return encoded;
  }
}

function put(writer: Writer, at: number, value: Slot): void {
  if (typeof value === 'number') writer.patchU32(at, value);
  else if (typeof value === 'string') writer.buffer.write(value, at, 'latin1');
  else writer.buffer.set(value, at);
}

function bytesOf(slot: Slot): Buffer {
  const writer = new Writer(64).zeros(typeof slot === 'number' ? 4 : slot.length);
  put(writer, 0, slot);
  return writer.written;
}

/** Where one batch has the one value and the other the other. */
function placesOf(one: Buffer, value: Buffer, other: Buffer, otherValue: Buffer): number[] {
  const places: number[] = [];
  for (let at = one.indexOf(value); at >= 0; at = one.indexOf(value, at + 1))
    if (other.subarray(at, at + value.length).equals(otherValue)) places.push(at);
  return places;
}
