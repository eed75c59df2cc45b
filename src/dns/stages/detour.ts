import { classIn, ednsUdpBytes, flag, headerBytes, rcode, rrType, tcpBytes } from '../wire/constants.ts';
import { type Message, parseMessage } from '../wire/message.ts';
import type { WireName } from '../wire/names.ts';
import { Query } from '../wire/query.ts';
import { Reply } from '../wire/reply.ts';
import type { Stage } from './stage.ts';

/** An answer to another question than the asker's. */
export interface DetourAnswer {
  rcode: number;
  /** Its records. What it holds is overwritten by the next question of the same detour. */
  read(): Message;
}

/**
 * Asks stages with another name, in the asker's place: for what is found under a name that the asker did not ask for. It has no limit of size but
 * TCP's: what fits is judged where the asker's own answer is written.
 */
export class Detour {
  readonly #stages: readonly Stage[];
  readonly #query = new Query();
  readonly #reply = new Reply();
  /** Made when first used: most servers never need it. */
  #out: Buffer | undefined;

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
  }

  /** @returns a promise when the answer is not ready; what is waited for is under way then. A name that is too long does not exist. */
  ask(query: Query, name: WireName): DetourAnswer | Promise<DetourAnswer> {
    const message = questionFor(query, name);
    this.#out ??= Buffer.allocUnsafeSlow(tcpBytes);
    this.#query.client = query.client;
    this.#query.trace = query.trace;
    this.#query.parse(message, 0, message.length, 'tcp');
    this.#reply.begin(this.#query, this.#out, 0);
    for (const stage of this.#stages) {
      const verdict = stage.answer(this.#query, this.#reply);
      if (verdict === 'next') continue;
      return verdict === 'later' ? later(stage, this.#query.copy()) : answerOf(this.#reply, verdict === 'answered');
    }
    return answerOf(this.#reply, false);
  }
}

async function later(stage: Stage, query: Query): Promise<DetourAnswer> {
  const reply = new Reply();
  reply.begin(query, Buffer.allocUnsafe(tcpBytes), 0);
  await stage.resolve!(query, reply);
  return answerOf(reply, true);
}

/** As SERVFAIL counts what no stage answered, or did not want to. */
function answerOf(reply: Reply, answered: boolean): DetourAnswer {
  const code = answered ? reply.buffer[reply.at + 3]! & 0xf : rcode.SERVFAIL;
  return { rcode: code, read: () => parseMessage(reply.buffer.subarray(reply.at, reply.at + reply.length)) };
}

/** The same question with another name: type, and what the asker says of DNSSEC. */
function questionFor(query: Query, name: WireName): Buffer {
  const opt = query.edns ? 11 : 0;
  const message = Buffer.alloc(headerBytes + name.length + 4 + opt);
  message.writeUInt16BE(query.id, 0);
  message.writeUInt16BE(query.flags & (flag.RD | flag.AD | flag.CD), 2);
  message.writeUInt16BE(1, 4);
  message.write(name, headerBytes, 'latin1');
  let at = message.writeUInt16BE(query.type, headerBytes + name.length);
  at = message.writeUInt16BE(classIn, at);
  if (opt === 0) return message;
  message.writeUInt16BE(1, 10);
  at = message.writeUInt16BE(rrType.OPT, at + 1);
  at = message.writeUInt16BE(ednsUdpBytes, at);
  message.writeUInt16BE(query.dnssecOk ? 0x8000 : 0, at + 2);
  return message;
}
