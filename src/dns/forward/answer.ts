import { classIn, flag, headerBytes, rcode, rcodeName, rrType } from '../wire/constants.ts';
import { type Message, ownerOf, parseMessage, type Question, type RecordAt, targetOf } from '../wire/message.ts';
import { isBelow, lowerName, type WireName } from '../wire/names.ts';
import { type Encoded, RecordWriter } from './encode.ts';

/** Aliases that lead to aliases: more is a loop, or an attack (T32). */
const mostAliases = 10;

const rrsig = 46;
const dname = 39;
/** Types that prove an absence: NSEC, NSEC3. */
const proofs = new Set([47, 50]);

/** What a resolver said, reduced to what belongs to the question (T30), as bytes ready to be sent behind it. */
export interface Answer {
  /** In lower case. */
  name: WireName;
  type: number;
  rcode: number;
  /** The resolver says that it has validated it. */
  authenticated: boolean;
  records: string;
  /** See Encoded. */
  marks: string;
  answers: number;
  authority: number;
  /** The name, or the type at it, does not exist. */
  negative: boolean;
  /** Seconds that it holds by what it says of itself; 0: not to be kept (an absence without SOA, RFC 2308 5). */
  ttl: number;
  /** The aliases lead to a name of our own, for which no resolver may speak; and where that name stands in the message. */
  own?: { name: WireName; at: number };
  /** Which resolver said so, for people. */
  from?: string;
}

export interface Judgement {
  /** Names for which no resolver may speak. */
  isOwn?: (name: WireName) => boolean;
  /** Addresses that are taken out (rebinding, T32): 4 or 16 bytes. */
  isDenied?: (address: Uint8Array) => boolean;
}

/** Why another resolver should be asked; a short name for counters. */
export type Unusable = string;

/**
 * Takes from a resolver's message what answers the question: the aliases from its name on, the records asked for at their end; for an absence the SOA of
 * a zone above it; signatures and proofs for those who ask with DO. Nothing else is looked at twice.
 * @param message one that `answersQuestion`
 * @throws RangeError when it is malformed where it matters
 */
export function reduceAnswer(message: Message, question: Question, { isOwn, isDenied }: Judgement = {}): Answer | Unusable {
  if (message.rcode !== rcode.NOERROR && message.rcode !== rcode.NXDOMAIN) return `rcode ${rcodeName(message.rcode)}`;
  const { type, dnssecOk = false } = question;
  const name = lowerName(question.name);
  const bySection = (section: RecordAt['section']) =>
    message.records.filter((record) => record.section === section && record.class === classIn);
  const inAnswer = bySection('answer');
  const owners = inAnswer.map((record) => ownerOf(message, record));
  const writer = new RecordWriter(name, headerBytes + name.length + 4);
  let ttl = Number.POSITIVE_INFINITY;
  const added = new Set<RecordAt>();
  const add = (owner: WireName, record: RecordAt, seconds = record.ttl): void => {
    if (added.has(record)) return;
    added.add(record);
    writer.add(owner, message, record, seconds);
    ttl = Math.min(ttl, seconds);
  };

  const followed: WireName[] = [];
  let at = name;
  let own: Answer['own'];
  let found = false;
  let denied = false;
  for (;;) {
    if (followed.includes(at) || followed.length > mostAliases) return 'alias loop';
    followed.push(at);
    if (own) break;
    const here = inAnswer.filter((_, i) => owners[i] === at);
    const wanted = here.filter((record) => record.type === type);
    const alias = wanted.length === 0 && type !== rrType.CNAME ? here.find((record) => record.type === rrType.CNAME) : undefined;
    if (dnssecOk) {
      for (const [i, record] of inAnswer.entries()) {
        if (record.type === dname && type !== dname && owners[i] !== at && isBelow(at, owners[i]!)) add(owners[i]!, record);
      }
    }
    for (const record of alias ? [alias] : wanted) {
      if (
        isDenied &&
        (type === rrType.A || type === rrType.AAAA) &&
        record.type === type &&
        isDenied(message.buffer.subarray(record.dataAt, record.end))
      ) {
        denied = true;
        ttl = Math.min(ttl, record.ttl);
        continue;
      }
      add(at, record);
    }
    if (dnssecOk && type !== rrsig) for (const record of here) if (record.type === rrsig) add(at, record);
    found ||= wanted.length > 0;
    if (!alias) break;
    at = lowerName(targetOf(message, alias));
    if (isOwn?.(at)) own = { name: at, at: writer.lastNameAt };
  }

  const base = { name, type, authenticated: (message.flags & flag.AD) !== 0 };
  const answers = writer.count;
  if (own) return { ...base, rcode: rcode.NOERROR, ...tail(writer.end(), answers), negative: false, ttl, own };
  const authority = bySection('authority');
  if (found) {
    // An NXDOMAIN with the very records that were asked for contradicts itself.
    if (message.rcode !== rcode.NOERROR) return 'contradiction';
    // For wildcards, the proof that nothing closer exists (RFC 4035 3.1.3.3).
    if (dnssecOk) for (const record of authority) if (isProof(message, record)) add(ownerOf(message, record), record);
    return {
      ...base,
      rcode: rcode.NOERROR,
      ...tail(writer.end(), answers),
      negative: denied && answers === followed.length - 1,
      ttl,
    };
  }
  const soa = authority.find((record) => record.type === rrType.SOA && isBelow(at, ownerOf(message, record)));
  if (!soa && answers === 0 && isReferral(message, authority)) return 'lame';
  if (soa) {
    const { buffer } = message;
    const minimum = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength).getUint32(soa.end - 4);
    add(ownerOf(message, soa), soa, Math.min(soa.ttl, minimum));
    if (dnssecOk)
      for (const record of authority)
        if (isProof(message, record) || record.type === rrsig) add(ownerOf(message, record), record);
  }
  return { ...base, rcode: message.rcode, ...tail(writer.end(), answers), negative: true, ttl: soa ? ttl : 0 };
}

const tail = ({ records, marks, count }: Encoded, answers: number) => ({ records, marks, answers, authority: count - answers });

/** NSEC and NSEC3, and signatures of them. */
const isProof = ({ buffer }: Message, { type, dataAt }: RecordAt): boolean =>
  proofs.has(type) || (type === rrsig && proofs.has((buffer[dataAt]! << 8) | buffer[dataAt + 1]!));

/** "Ask those": the answer of a server that neither knows nor asks. */
const isReferral = ({ flags }: Message, authority: readonly RecordAt[]): boolean =>
  (flags & (flag.AA | flag.RA)) === 0 || ((flags & flag.AA) === 0 && authority.some(({ type }) => type === rrType.NS));

/** That asking failed, kept for a moment (RFC 9520). */
export const failure = (question: Question, ttl: number): Answer => ({
  ...{ name: lowerName(question.name), type: question.type, rcode: rcode.SERVFAIL, authenticated: false },
  ...{ records: '', marks: '', answers: 0, authority: 0, negative: true, ttl },
});

/** As a message, for those who look into it; TTLs are as they came, or all `ttl`. */
export function messageOf(answer: Answer, ttl?: number): Message {
  const { name, type, records, marks } = answer;
  const head = Buffer.alloc(headerBytes + name.length + 4);
  head.writeUInt16BE(flag.QR | flag.RD | flag.RA | (answer.authenticated ? flag.AD : 0) | answer.rcode, 2);
  for (const [i, count] of [1, answer.answers, answer.authority, 0].entries()) head.writeUInt16BE(count, 4 + 2 * i);
  head.write(name, headerBytes, 'latin1');
  head.writeUInt16BE(type, head.length - 4);
  head.writeUInt16BE(classIn, head.length - 2);
  const buffer = Buffer.concat([head, Buffer.from(records, 'latin1')]);
  if (ttl !== undefined) for (let i = 0; i < marks.length; i += 2) buffer.writeUInt32BE(ttl, head.length + marks.charCodeAt(i));
  return parseMessage(buffer);
}
