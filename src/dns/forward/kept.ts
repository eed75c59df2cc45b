import type { Question } from '../wire/message.ts';
import type { Answer } from './answer.ts';
import type { Entry } from './cache.ts';

/** To be raised when what stands below, or Answer, is given another shape or meaning. */
export const keptVersion = 1;

/** An answer of the cache as plain data, for another process: times are milliseconds since 1970, bytes are in base64. */
export interface KeptAnswer {
  answer: Omit<Answer, 'records'> & { records: string };
  dnssecOk: boolean;
  checkingDisabled: boolean;
  /** stored, fresh until, stale until */
  times: readonly [number, number, number];
  /** Who was to be asked for the name (Group.text). */
  resolvers: string;
}

/** @param toToday from this process' clock to the time since 1970, in milliseconds */
export function keptAnswer(entry: Entry, resolvers: string, toToday: number): KeptAnswer {
  const { name, type, records, marks, answers, authority, negative, rcode, authenticated, ttl, own, from } = entry;
  const { dnssecOk = false, checkingDisabled = false } = entry.question;
  return {
    answer: { ...{ name, type, marks, answers, authority, negative, rcode, authenticated, ttl, own, from }, records: Buffer.from(records, 'latin1').toString('base64') },
    ...{ dnssecOk, checkingDisabled, resolvers },
    times: [entry.storedMs, entry.freshUntilMs, entry.staleUntilMs].map((ms) => Math.round(ms + toToday)) as unknown as KeptAnswer['times'],
  };
}

export interface Restored {
  answer: Answer;
  question: Question;
  /** By this process' clock. */
  times: { storedMs: number; freshUntilMs: number; staleUntilMs: number };
  resolvers: string;
}

export function restored({ answer, dnssecOk, checkingDisabled, times, resolvers }: KeptAnswer, toToday: number): Restored {
  const [storedMs, freshUntilMs, staleUntilMs] = times.map((ms) => Math.round(ms - toToday)) as [number, number, number];
  return {
    answer: { ...answer, records: Buffer.from(answer.records, 'base64').toString('latin1') },
    question: { name: answer.name, type: answer.type, dnssecOk, checkingDisabled },
    times: { storedMs, freshUntilMs, staleUntilMs },
    resolvers,
  };
}
