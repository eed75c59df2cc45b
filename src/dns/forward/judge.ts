import { classIn, flag, headerBytes } from '../wire/constants.ts';
import { type Message, parseMessage, type Question } from '../wire/message.ts';
import { lowerByte } from '../wire/names.ts';

/** What a message that came to a question's socket is. */
export type Judged =
  | { message: Message }
  /** Nothing that belongs to this question: the right answer may still come. */
  | { stray: 'no answer' | 'id' | 'question' }
  /** Id and place are right, the rest is not: either the resolver is odd or somebody guessed. */
  | { doubt: 'case' | 'malformed' };

/**
 * Judges what came in answer to `request`: id, opcode, and the whole question must be the same (T30).
 * @param received kept by the message: memory of its own
 * @param anyCase letters of the name may have changed their case
 */
export function judge(request: Uint8Array, question: Question, received: Uint8Array, anyCase: boolean): Judged {
  if (received.length < headerBytes) return { stray: 'no answer' };
  const flags = (received[2]! << 8) | received[3]!;
  if ((flags & flag.QR) === 0 || (flags & 0x7800) !== 0) return { stray: 'no answer' };
  if (received[0] !== request[0] || received[1] !== request[1]) return { stray: 'id' };
  const end = headerBytes + question.name.length + 4;
  // A server that cannot read the question may leave it out (FORMERR).
  if (received[4] === 0 && received[5] === 0 && (flags & 0xf) !== 0)
    return { message: withoutQuestion(question, flags, received) };
  if (received[4] !== 0 || received[5] !== 1 || received.length < end) return { stray: 'question' };
  let sameCase = true;
  for (let i = headerBytes; i < end; i++) {
    if (received[i] === request[i]) continue;
    if (i >= end - 4 || lowerByte[received[i]!] !== lowerByte[request[i]!]) return { stray: 'question' };
    sameCase = false;
  }
  if (!sameCase && !anyCase) return { doubt: 'case' };
  try {
    return { message: parseMessage(received) };
  } catch (error) {
    if (error instanceof RangeError) return { doubt: 'malformed' };
    throw error;
  }
}

const withoutQuestion = (question: Question, flags: number, buffer: Uint8Array): Message => ({
  ...{ buffer, id: 0, flags, rcode: flags & 0xf, name: question.name, type: question.type, class: classIn },
  ...{ questionEnd: headerBytes, records: [] },
});
