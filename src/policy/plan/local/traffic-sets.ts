import { type PortProtocol, portProtocols } from '../../model.ts';
import { shortKey } from '../../short-key.ts';

/** Number of a set of traffic; equal sets have equal numbers. */
export type TrafficId = number;

/** Ports of a protocol, both ends included. */
export interface PortRange {
  protocol: PortProtocol;
  from: number;
  to: number;
}

const ports = 65536;
/** Behind the ports of all protocols: the place of what has no ports. */
const portless = portProtocols.length * ports;
const end = portless + 1;
const startOf: Readonly<Record<PortProtocol, number>> = { TCP: 0, UDP: ports, SCTP: 2 * ports };

/** So many edges are counted place by place, which takes as long however many there are, instead of being sorted. */
const manyEdges = 4096;

/** Beyond that many remembered results it begins anew. */
const maxRemembered = 200_000;

type Operation = (a: boolean, b: boolean) => boolean;
const either: Operation = (a, b) => a || b;
const both: Operation = (a, b) => a && b;
const onlyFirst: Operation = (a, b) => a && !b;

/**
 * Sets of traffic, each there once and known by a number, so that they are compared, joined and cut by numbers. A set is a line of the ports of TCP,
 * UDP and SCTP and one place for protocols without ports; it is kept as the places where it begins and ends, in order.
 */
export class TrafficSets {
  static readonly nothing: TrafficId = 0;
  static readonly all: TrafficId = 1;

  /** By number; undefined: the number is free. */
  readonly #edges: (readonly number[] | undefined)[] = [];
  readonly #free: TrafficId[] = [];
  readonly #byText = new Map<string, TrafficId>();
  readonly #unions = new Map<number, TrafficId>();
  readonly #intersections = new Map<number, TrafficId>();
  readonly #differences = new Map<number, TrafficId>();

  /** A place for each port, made when it is first needed. */
  #places: Int32Array | undefined;
  readonly #roomFor: number;
  /** Of all sets, as they are kept. */
  #edgeCount = 0;
  /** From so many edges on it is worth while to look which sets are in use. */
  #limit: number;

  /** @param roomFor so many edges are kept before anybody asks which of them are in use */
  constructor(roomFor = 50_000) {
    this.#roomFor = this.#limit = roomFor;
    this.#intern([]);
    this.#intern([0, end]);
  }

  /** How many sets are kept. */
  get size(): number {
    return this.#byText.size;
  }

  /** Twice as much is kept as was in use when last asked: `keepOnly` is due. */
  get isFull(): boolean {
    return this.#edgeCount > this.#limit;
  }

  /** Forgets all other sets, and gives their numbers again. @param used every set that somebody knows by its number */
  keepOnly(used: ReadonlySet<TrafficId>): void {
    for (const [id, edges] of this.#edges.entries()) {
      if (!edges || id === TrafficSets.nothing || id === TrafficSets.all || used.has(id)) continue;
      this.#byText.delete(shortKey(edges.join()));
      this.#edges[id] = undefined;
      this.#edgeCount -= edges.length;
      this.#free.push(id);
    }
    for (const results of [this.#unions, this.#intersections, this.#differences]) results.clear();
    this.#limit = Math.max(this.#roomFor, 2 * this.#edgeCount);
  }

  range(range: PortRange): TrafficId {
    return this.ranges([range]);
  }

  /** All of them together, however they overlap. */
  ranges(all: readonly PortRange[]): TrafficId {
    const spans = all.flatMap(({ protocol, from, to }) =>
      from > to ? [] : [{ from: startOf[protocol] + from, to: startOf[protocol] + to + 1 }],
    );
    return this.#intern(joined(spans));
  }

  /** Of many sets at once: what they are on the way is not kept. */
  unionAll(sets: Iterable<TrafficId>): TrafficId {
    const all = new Set(sets);
    all.delete(TrafficSets.nothing);
    if (all.has(TrafficSets.all)) return TrafficSets.all;
    const [a = TrafficSets.nothing, b = TrafficSets.nothing] = all;
    if (all.size <= 2) return this.union(a, b);
    let count = 0;
    for (const id of all) count += this.#edges[id]!.length;
    if (count > manyEdges) return this.#intern(this.#counted(all));
    const spans: { from: number; to: number }[] = [];
    for (const id of all) {
      const edges = this.#edges[id]!;
      for (let i = 0; i < edges.length; i += 2) spans.push({ from: edges[i]!, to: edges[i + 1]! });
    }
    return this.#intern(joined(spans));
  }

  /** The edges of all together: at each place how many sets begin there less how many end. */
  #counted(sets: Iterable<TrafficId>): number[] {
    const places = (this.#places ??= new Int32Array(end + 1));
    places.fill(0);
    for (const id of sets) {
      const edges = this.#edges[id]!;
      for (let i = 0; i < edges.length; i++) places[edges[i]!]! += i % 2 === 0 ? 1 : -1;
    }
    const all: number[] = [];
    for (let at = 0, inside = 0; at <= end; at++) {
      const change = places[at]!;
      if (change === 0) continue;
      if (inside === 0 || inside + change === 0) all.push(at);
      inside += change;
    }
    return all;
  }

  union(a: TrafficId, b: TrafficId): TrafficId {
    if (a === b || b === TrafficSets.nothing || a === TrafficSets.all) return a;
    if (a === TrafficSets.nothing || b === TrafficSets.all) return b;
    return a < b ? this.#remembered(this.#unions, a, b, either) : this.#remembered(this.#unions, b, a, either);
  }

  intersect(a: TrafficId, b: TrafficId): TrafficId {
    if (a === b || a === TrafficSets.nothing || b === TrafficSets.all) return a;
    if (b === TrafficSets.nothing || a === TrafficSets.all) return b;
    return a < b ? this.#remembered(this.#intersections, a, b, both) : this.#remembered(this.#intersections, b, a, both);
  }

  /** What is in the first and not in the second. */
  minus(a: TrafficId, b: TrafficId): TrafficId {
    if (a === b || a === TrafficSets.nothing || b === TrafficSets.all) return TrafficSets.nothing;
    return b === TrafficSets.nothing ? a : this.#remembered(this.#differences, a, b, onlyFirst);
  }

  complement(a: TrafficId): TrafficId {
    return this.minus(TrafficSets.all, a);
  }

  hasPortless(id: TrafficId): boolean {
    return this.#edges[id]!.at(-1) === end;
  }

  /** The ports in it, by protocol and in order. */
  rangesOf(id: TrafficId): PortRange[] {
    const edges = this.#edges[id]!;
    const ranges: PortRange[] = [];
    for (let i = 0; i < edges.length; i += 2)
      for (const protocol of portProtocols) {
        const start = startOf[protocol];
        const from = Math.max(edges[i]! - start, 0);
        const to = Math.min(edges[i + 1]! - start, ports) - 1;
        if (from <= to) ranges.push({ protocol, from, to });
      }
    return ranges;
  }

  #remembered(results: Map<number, TrafficId>, a: TrafficId, b: TrafficId, operation: Operation): TrafficId {
    const key = a * 2 ** 26 + b;
    const known = results.get(key);
    if (known !== undefined) return known;
    if (results.size >= maxRemembered) results.clear();
    const id = this.#intern(combine(this.#edges[a]!, this.#edges[b]!, operation));
    results.set(key, id);
    return id;
  }

  #intern(edges: readonly number[]): TrafficId {
    const text = shortKey(edges.join());
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const id = this.#free.pop() ?? this.#edges.length;
    this.#edges[id] = edges;
    this.#edgeCount += edges.length;
    this.#byText.set(text, id);
    return id;
  }
}

/** Edges of spans in any order, which may overlap. */
function joined(spans: { from: number; to: number }[]): number[] {
  spans.sort((a, b) => a.from - b.from);
  const edges: number[] = [];
  for (const { from, to } of spans) {
    const last = edges.at(-1);
    if (last === undefined || last < from) edges.push(from, to);
    else if (last < to) edges[edges.length - 1] = to;
  }
  return edges;
}

function combine(a: readonly number[], b: readonly number[], operation: Operation): number[] {
  const edges: number[] = [];
  let [i, j, inA, inB, isIn] = [0, 0, false, false, false];
  while (i < a.length || j < b.length) {
    const at = Math.min(a[i] ?? end, b[j] ?? end);
    if (a[i] === at) (inA = !inA), i++;
    if (b[j] === at) (inB = !inB), j++;
    if (operation(inA, inB) === isIn) continue;
    isIn = !isIn;
    edges.push(at);
  }
  return edges;
}
