import type { NftElement } from '../../../reconcile/model.ts';
import { directions } from '../../model.ts';
import { type PodEntry, podAt } from '../remote/addresses.ts';
import type { Groups } from '../local/groups.ts';
import { firstOf } from '../remote/identities.ts';
import { element, rowsSet, valueText } from './names.ts';
import type { Alike, Signature } from '../remote/signatures.ts';
import type { TrafficId } from '../local/traffic-sets.ts';

/** Rows of a local pod and so many identities have one owner. */
const bucketBits = 6;
const bucketOf = (identity: number): number => identity >>> bucketBits;

const ownerOf = (pod: string, bucket: number): string => `policy rows ${pod} ${bucket}`;

/** A cell that is what the pod's default says. */
const usual = -1;

/** Of each local pod the identities that its default is not for: identity and local pod to class. */
export class Rows {
  /** Cells of each identity as planned last. */
  readonly #planned = new Map<number, Int32Array>();
  /** Owners that have rows, by pod. */
  readonly #buckets = new Map<string, Set<number>>();
  readonly #dirty = new Map<string, Set<number> | 'all'>();
  /** Whatever may pass in some row. */
  used: ReadonlySet<TrafficId> = new Set();

  /** All rows of a pod are to be planned, or it has gone. */
  dirtyPod(key: string): void {
    this.#dirty.set(key, 'all');
  }

  /** Finds the rows that changed with cells or with the numbers of identities. */
  compare(byNumber: ReadonlyMap<number, Alike>, nobody: Signature, groups: Groups): void {
    const used = new Set<TrafficId>();
    const slots = [...groups.slots()];
    const free = Array.from({ length: groups.width }, (_, index) => index).filter((index) => !groups.slotAt(index));
    const touch = (index: number, identity: number): void => {
      for (const { pods } of groups.slotAt(index)?.group.classes ?? [])
        for (const { key, isLocal } of pods) if (isLocal) this.#touch(key, bucketOf(identity));
    };
    for (const [number, { members }] of byNumber) {
      const { cells } = firstOf(members);
      const before = this.#planned.get(number);
      // In place: there may be a hundred thousand identities, and few of them change.
      const now = before?.length === groups.width ? before : new Int32Array(groups.width).fill(usual);
      if (before && before !== now) now.set(before.subarray(0, now.length));
      if (before !== now) this.#planned.set(number, now);
      for (const { index } of slots) {
        const cell = cells[index] === nobody.cells[index] ? usual : cells[index]!;
        if (cell !== usual) used.add(cell);
        if (now[index] === cell) continue;
        now[index] = cell;
        touch(index, number);
      }
      for (const index of free) now[index] = usual;
    }
    for (const [number, before] of this.#planned)
      if (!byNumber.has(number)) {
        this.#planned.delete(number);
        for (const { index } of slots) if ((before[index] ?? usual) !== usual) touch(index, number);
      }
    this.used = used;
  }

  /** @param classText of what may pass */
  *changes(pods: ReadonlyMap<string, PodEntry>, classText: (id: TrafficId) => string): Iterable<[string, NftElement[]]> {
    for (const [key, dirt] of this.#dirty) {
      const pod = pods.get(key);
      const had = this.#buckets.get(key) ?? new Set();
      const identities = dirt === 'all' ? this.#planned.keys() : numbersIn(dirt);
      const found = pod ? this.#rowsOf(pod, identities, classText) : new Map<number, NftElement[]>();
      for (const bucket of dirt === 'all' ? new Set([...had, ...found.keys()]) : dirt) {
        const rows = found.get(bucket) ?? [];
        if (rows.length > 0) had.add(bucket);
        else if (!had.delete(bucket)) continue;
        yield [ownerOf(key, bucket), rows];
      }
      if (had.size > 0) this.#buckets.set(key, had);
      else this.#buckets.delete(key);
    }
    this.#dirty.clear();
  }

  #rowsOf(pod: PodEntry, identities: Iterable<number>, classText: (id: TrafficId) => string): Map<number, NftElement[]> {
    const found = new Map<number, NftElement[]>();
    const slots = directions.flatMap((direction) => pod.class.group?.slots[direction] ?? []);
    const own = pod.addresses.filter((entry) => podAt(entry) === pod);
    for (const number of identities) {
      const cells = this.#planned.get(number);
      if (!cells) continue;
      for (const { index, direction } of slots) {
        const cell = cells[index] ?? usual;
        if (cell === usual) continue;
        const rows = found.get(bucketOf(number)) ?? [];
        if (rows.length === 0) found.set(bucketOf(number), rows);
        for (const { address } of own)
          rows.push(element(rowsSet(direction, address.family), `${valueText(number)} . ${address}`, classText(cell)));
      }
    }
    return found;
  }

  #touch(key: string, bucket: number): void {
    const dirt = this.#dirty.get(key);
    if (dirt === 'all') return;
    if (dirt) dirt.add(bucket);
    else this.#dirty.set(key, new Set([bucket]));
  }
}

function* numbersIn(buckets: Iterable<number>): Iterable<number> {
  for (const bucket of buckets) for (let i = 0; i < 1 << bucketBits; i++) yield (bucket << bucketBits) + i;
}
