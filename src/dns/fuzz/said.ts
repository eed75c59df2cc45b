import { messageOf, reduceAnswer } from '../forward/answer.ts';
import { AnswerCache } from '../forward/cache.ts';
import { judge } from '../forward/judge.ts';
import { encodeRequest } from '../forward/request.ts';
import { writeAnswer } from '../forward/write.ts';
import { question } from '../testkit/message.ts';
import { ownerOf, parseMessage, targetOf } from '../wire/message.ts';
import { isBelow, lowerName, parseName } from '../wire/names.ts';
import { Query } from '../wire/query.ts';
import { Reply } from '../wire/reply.ts';
import { rrType } from '../wire/constants.ts';
import { askedName } from './corpus.ts';

/** What resolvers say: from the datagram to the cache and to the answer for an asker. */
export class SaidTarget {
  readonly #asked = { name: parseName(askedName), type: rrType.A };
  readonly #request = encodeRequest(this.#asked, { id: 0 });
  readonly #queries = [question(askedName), question('WWW.example.COM', { edns: 1232 })].map((message) => {
    const query = new Query();
    query.parse(message, 0, message.length, 'udp');
    return query;
  });
  readonly #reply = new Reply();
  readonly #out = Buffer.alloc(1232);
  readonly #cache = new AnswerCache({ bytes: 1 << 20 });
  readonly #apex = parseName('cluster.local');
  taken = 0;
  refused = 0;

  /** @throws Error that says what is wrong with what became of this packet */
  run(packet: Buffer, bits: number): void {
    const judged = judge(this.#request, this.#asked, Buffer.from(packet), (bits & 1) === 0);
    if (!('message' in judged)) {
      this.refused++;
      return;
    }
    let answer: ReturnType<typeof reduceAnswer>;
    try {
      answer = reduceAnswer(
        judged.message,
        { ...this.#asked, dnssecOk: (bits & 2) !== 0 },
        { isOwn: (name) => isBelow(name, this.#apex) },
      );
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.refused++;
      return;
    }
    if (typeof answer === 'string') {
      this.refused++;
      return;
    }
    this.taken++;
    this.#cache.set(this.#asked, answer, 0);
    const query = this.#queries[bits & 1]!;
    this.#reply.begin(query, this.#out, 0);
    writeAnswer(this.#reply, answer, bits % 90, this.#cache.options);
    const length = this.#reply.finish({ rcode: answer.rcode });
    if (length > query.limit) throw new Error(`${length} bytes in place of ${query.limit}`);
    const told = parseMessage(this.#out.subarray(0, length));
    if ((told.records.at(-1)?.end ?? told.questionEnd) !== length) throw new Error('bytes behind the last record');
    messageOf(answer, 30);
    if ((bits & 2) === 0) this.#belongs(told);
  }

  /** Every record is the question's own, or of a name that an alias before it leads to (T30). */
  #belongs(told: ReturnType<typeof parseMessage>): void {
    let name = this.#asked.name;
    for (const record of told.records) {
      if (record.section !== 'answer') {
        if (record.type !== rrType.SOA && record.type !== rrType.OPT)
          throw new Error(`a record of type ${record.type} beside the answer`);
        continue;
      }
      if (ownerOf(told, record) !== name) throw new Error('a record of a name that nobody asked for');
      if (isBelow(name, this.#apex)) throw new Error('a record of a name of our own');
      if (record.type === rrType.CNAME) name = lowerName(targetOf(told, record));
      else if (record.type !== rrType.A) throw new Error(`a record of type ${record.type}`);
    }
  }
}
