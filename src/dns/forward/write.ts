import { flag, rrType } from '../wire/constants.ts';
import { dataOf, type Message, ownerOf, targetOf } from '../wire/message.ts';
import { lowerName, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import type { Answer } from './answer.ts';
import type { CacheOptions } from './cache.ts';

/** Bounds of the TTLs that are told. */
export type TtlRule = Pick<CacheOptions, 'minTtl' | 'maxTtl' | 'maxNegativeTtl'>;

/**
 * Puts an answer behind the question, byte for byte: names inside point at the question, which has the same length and place in every question for the
 * name. Whole records only, as far as they fit; TTLs count down. Allocates nothing.
 * @param age whole seconds since it came; below 0: it is stale, and its records are to be asked for again in `-age` seconds (RFC 8767 4)
 */
export function writeAnswer(reply: Reply, answer: Answer, age: number, { minTtl, maxTtl, maxNegativeTtl }: TtlRule): void {
  const { records, marks, answers } = answer;
  const { buffer, room } = reply;
  const count = marks.length >> 1;
  let whole = 0;
  while (whole < count && marks.charCodeAt(2 * whole + 1) <= room) whole++;
  if (whole < answers) reply.truncated = true;
  const begin = reply.at + reply.position;
  const end = whole === 0 ? 0 : marks.charCodeAt(2 * whole - 1);
  for (let i = 0; i < end; i++) buffer[begin + i] = records.charCodeAt(i);
  const most = answer.negative ? Math.min(maxNegativeTtl, maxTtl) : maxTtl;
  for (let i = 0; i < whole; i++) {
    const at = begin + marks.charCodeAt(2 * i);
    const came = ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
    const kept = Math.min(Math.max(came, minTtl), most);
    const left = age < 0 ? -age : kept > age ? kept - age : 0;
    buffer[at] = left >>> 24;
    buffer[at + 1] = left >>> 16;
    buffer[at + 2] = left >>> 8;
    buffer[at + 3] = left;
  }
  reply.position += end;
  reply.answers += Math.min(whole, answers);
  reply.authority += whole < answers ? 0 : whole - answers;
}

/** AD is told to those who ask for it (RFC 6840 5.7). */
export const mayTellAuthenticated = (query: Query): boolean => query.dnssecOk || (query.flags & flag.AD) !== 0;

export interface ChainEnd {
  /** Where the chain goes on: a name of our own, for which no resolver may speak (T30). */
  own?: { name: WireName; at: number };
}

/**
 * Adds what a resolver knows of an alias' target (D9): the aliases that lead on from it and the addresses at the end, nothing else of its answer.
 * @param from the target, and where its name stands in the reply
 */
export function writeChain(
  reply: Reply,
  message: Message,
  age: number,
  type: number,
  from: { target: WireName; at: number },
  isOwn: (name: WireName) => boolean,
): ChainEnd {
  const records = message.records.filter(({ section, class: of }) => section === 'answer' && of === 1);
  const owners = records.map((record) => ownerOf(message, record));
  let name = lowerName(from.target);
  let at = from.at;
  const followed = new Set<WireName>();
  for (;;) {
    if (isOwn(name)) return { own: { name, at } };
    if (followed.has(name)) return {};
    followed.add(name);
    const here = records.filter((_, i) => owners[i] === name);
    const alias = type === rrType.CNAME ? undefined : here.find((record) => record.type === rrType.CNAME);
    for (const record of alias ? [alias] : here.filter((other) => other.type === type)) {
      const data = record.type === rrType.CNAME ? targetOf(message, record) : dataOf(message, record);
      if (!reply.record(at, record.type, Math.max(record.ttl - age, 0), data)) {
        reply.truncated = true;
        return {};
      }
      reply.answers++;
    }
    if (!alias) return {};
    const target = targetOf(message, alias);
    name = lowerName(target);
    at = reply.position - target.length;
  }
}
