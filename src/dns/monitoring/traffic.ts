import type { ClientAddress } from '../wire/client.ts';
import { flag, rcodeName, rrType, typeName } from '../wire/constants.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import { Histogram, sizeBounds, timeBounds } from './histogram.ts';

/** Types with a counter of their own; all others share "other", as in CoreDNS. */
const types = [
  ...[rrType.A, rrType.AAAA, rrType.CNAME, rrType.HINFO, rrType.MX, rrType.NS, rrType.PTR, rrType.SOA, rrType.SRV, rrType.TXT],
  ...[rrType.ANY, rrType.AXFR, rrType.IXFR, 35 /* NAPTR */, 43 /* DS */, 48 /* DNSKEY */, 64 /* SVCB */, 65 /* HTTPS */],
];
const names = new Map<number, string>([[35, 'NAPTR'], [43, 'DS'], [48, 'DNSKEY'], [64, 'SVCB'], [65, 'HTTPS']]);
const slotOfType = new Uint8Array(256).fill(types.length);
types.forEach((type, slot) => (slotOfType[type] = slot));
const typeSlots = types.length + 1;
const rcodes = 16;
const mostStages = 16;

/** Of the questions that are answered at once, one in so many is timed and counts for all of them: a look at the clock costs as much as finding the answer. */
const timedOneIn = 32;

export const protocols = ['udp', 'tcp'] as const;
/** As CoreDNS has them: 1 is IPv4, 2 is IPv6. */
const families = ['1', '2'] as const;

export interface RequestCount {
  proto: string;
  family: string;
  type: string;
  value: number;
}

export interface ResponseCount {
  rcode: string;
  /** Name of the stage that answered; '' when none did. */
  stage: string;
  value: number;
}

/** What came and what was answered, counted in arrays of numbers: nothing is allocated for a question. */
export class Traffic {
  readonly requestBytes: readonly [Histogram, Histogram] = [new Histogram(sizeBounds), new Histogram(sizeBounds)];
  readonly responseBytes: readonly [Histogram, Histogram] = [new Histogram(sizeBounds), new Histogram(sizeBounds)];
  readonly seconds: Histogram = new Histogram(timeBounds);
  truncated = 0;
  readonly #requests = new Float64Array(4 * typeSlots);
  readonly #dnssecOk = new Float64Array(2);
  readonly #responses = new Float64Array((mostStages + 1) * rcodes);
  #stages: readonly string[] = [];
  #turn = 0;
  #timed = false;
  #began = 0;

  /** @param names of the pipeline's stages, in its order */
  begin(stages: readonly string[]): void {
    this.#stages = stages;
  }

  /** A question came; `response` follows in the same turn, or `startLater`. */
  request(query: Query, client: ClientAddress): void {
    const tcp = query.transport === 'tcp' ? 1 : 0;
    const type = query.type < 256 ? slotOfType[query.type]! : types.length;
    this.#requests[(tcp * 2 + (client.family === 6 ? 1 : 0)) * typeSlots + type]!++;
    this.requestBytes[tcp].observe(query.length);
    if (query.dnssecOk) this.#dnssecOk[tcp]!++;
    this.#timed = (this.#turn++ & (timedOneIn - 1)) === 0;
    if (this.#timed) this.#began = performance.now();
  }

  /** It was answered at once. @param stage its index; -1: none */
  response(query: Query, reply: Reply, stage: number): void {
    this.#answered(query, reply, stage);
    if (!this.#timed) return;
    this.#timed = false;
    this.seconds.observe((performance.now() - this.#began) / 1000, timedOneIn);
  }

  /** There will be no answer to the question of this turn, or a later one, which is timed by itself. */
  responseLater(query: Query, reply: Reply, stage: number, beganMs: number): void {
    this.#answered(query, reply, stage);
    this.seconds.observe((performance.now() - beganMs) / 1000);
  }

  #answered(query: Query, reply: Reply, stage: number): void {
    const low = reply.buffer[reply.at + 3]!;
    if (reply.buffer[reply.at + 2]! & (flag.TC >> 8)) this.truncated++;
    this.#responses[(Math.min(stage, mostStages - 1) + 1) * rcodes + (low & 0xf)]!++;
    this.responseBytes[query.transport === 'tcp' ? 1 : 0].observe(reply.length);
  }

  received(proto: (typeof protocols)[number]): number {
    const from = protocols.indexOf(proto) * 2 * typeSlots;
    return this.#requests.subarray(from, from + 2 * typeSlots).reduce((sum, value) => sum + value, 0);
  }

  dnssecOk(proto: (typeof protocols)[number]): number {
    return this.#dnssecOk[protocols.indexOf(proto)]!;
  }

  /** All that are not 0. */
  requests(): RequestCount[] {
    return Array.from(this.#requests, (value, i) => {
      const type = types[i % typeSlots];
      const group = Math.floor(i / typeSlots);
      const text = type === undefined ? 'other' : (names.get(type) ?? typeName(type));
      return { proto: protocols[group >> 1]!, family: families[group & 1]!, type: text, value };
    }).filter(({ value }) => value > 0);
  }

  /** All that are not 0. */
  responses(): ResponseCount[] {
    return Array.from(this.#responses, (value, i) => ({
      rcode: rcodeName(i % rcodes),
      stage: this.#stages[Math.floor(i / rcodes) - 1] ?? '',
      value,
    })).filter(({ value }) => value > 0);
  }

  byRcode(): Record<string, number> {
    const all: Record<string, number> = {};
    for (const { rcode, value } of this.responses()) all[rcode] = (all[rcode] ?? 0) + value;
    return all;
  }
}
