import { flag, rrType } from '../wire/constants.ts';
import { dataOf, type Message, ownerOf, targetOf } from '../wire/message.ts';
import { lowerName, type WireName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';

/**
 * Puts a resolver's records into a reply, byte for byte: names inside point at the question, which has the same length and place. Only the asker's case
 * of the name, TTLs less their age, and whole records as far as they fit. OPT speaks of one hop only and stays here (RFC 6891 6.1.1).
 */
export function writeMessage(query: Query, reply: Reply, message: Message, age: number): void {
  const begin = message.questionEnd;
  if (begin !== reply.position || begin !== query.questionEnd)
    throw new RangeError(`the question of the resolver's answer ends at ${begin}, not ${reply.position}`);
  let end = begin;
  for (const record of message.records) {
    // What follows would move: additional records may always be left out.
    if (record.type === rrType.OPT) break;
    if (record.end - begin > reply.room) {
      reply.truncated = record.section === 'answer';
      break;
    }
    end = record.end;
    if (record.section === 'answer') reply.answers++;
    else if (record.section === 'authority') reply.authority++;
    else reply.additional++;
  }
  reply.buffer.set(message.buffer.subarray(begin, end), reply.at + begin);
  const view = new DataView(reply.buffer.buffer, reply.buffer.byteOffset + reply.at);
  if (age > 0)
    for (const { ttlAt, ttl, end: recordEnd } of message.records)
      if (recordEnd <= end) view.setUint32(ttlAt, Math.max(ttl - age, 0));
  reply.position = end;
}

/** AD is told to those who ask for it (RFC 6840 5.7). */
export const authenticated = (query: Query, message: Message): boolean =>
  (message.flags & flag.AD) !== 0 && (query.dnssecOk || (query.flags & flag.AD) !== 0);

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
