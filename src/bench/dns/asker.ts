import { DatagramClient, datagramMemory } from '../../kernel/datagram-client.ts';
import { IpAddr } from '../../net/ip.ts';
import { Histogram } from './histogram.ts';
import type { Asked } from './questions.ts';

/** closed: so many questions are under way, a new one for each answer. open: questions leave at a fixed rate, whatever becomes of them. */
export type Load = { mode: 'closed'; underWay: number; seconds: number } | { mode: 'open'; perSecond: number; seconds: number };

/** What came of it. */
export interface Outcome {
  asked: number;
  answered: number;
  /** Not answered within 0.3 s. */
  lost: number;
  /** Another rcode, other records or another question than is right. */
  wrong: number;
  truncated: number;
  seconds: number;
  /** Answers in each second. */
  perSecond: number;
  /** Microseconds: of the open load from when a question was due, of the closed one from when it was sent. */
  p50: number;
  p99: number;
  p999: number;
  most: number;
}

const [sockets, batch, stride, lateMs] = [4, 64, 256, 300];

/** Asks questions that are ready as bytes, and judges the answers. Busy all the time while it asks: it is to have a processor for itself. */
export class Asker {
  readonly #slab: Buffer;
  readonly #lengths: Uint16Array;
  readonly #rcodes: Uint8Array;
  readonly #answers: Uint16Array;
  readonly #count: number;
  readonly #judged: boolean;
  #next = 0;

  /** @param judged false: any answer is right */
  constructor(questions: readonly Asked[], judged = true) {
    this.#count = questions.length;
    this.#slab = datagramMemory(this.#count * stride);
    this.#lengths = Uint16Array.from(questions, ({ message }) => message.length);
    this.#rcodes = Uint8Array.from(questions, ({ rcode }) => rcode);
    this.#answers = Uint16Array.from(questions, ({ answers }) => answers);
    this.#judged = judged;
    for (const [i, { message }] of questions.entries()) {
      if (message.length > stride) throw new RangeError(`a question of ${message.length} bytes; ${stride} fit`);
      this.#slab.set(message, i * stride);
    }
  }

  /** In the calling thread's network namespace. */
  run(address: string, port: number, load: Load): Outcome {
    const lines = Array.from({ length: sockets }, () => new Line({ address: IpAddr.parse(address), port, messages: this.#slab, count: batch }));
    const tally = { asked: 0, answered: 0, lost: 0, wrong: 0, truncated: 0, times: new Histogram(), most: 0 };
    try {
      const began = performance.now();
      if (load.mode === 'closed') this.#closed(lines, tally, load.underWay, began + load.seconds * 1000);
      else this.#open(lines, tally, load.perSecond, load.seconds);
      const seconds = (performance.now() - began) / 1000;
      const { answered } = tally;
      const until = performance.now() + lateMs;
      while (lines.some(({ underWay }) => underWay > 0) && performance.now() < until) for (const line of lines) this.#take(line, tally);
      tally.lost += lines.reduce((sum, { underWay }) => sum + underWay, 0);
      const { times, ...counts } = tally;
      return {
        ...counts,
        ...{ seconds, perSecond: answered / seconds },
        ...{ p50: times.quantile(0.5), p99: times.quantile(0.99), p999: times.quantile(0.999) },
      };
    } finally {
      for (const line of lines) line.client[Symbol.dispose]();
    }
  }

  #closed(lines: readonly Line[], tally: Tally, underWay: number, until: number): void {
    const each = Math.max(1, Math.floor(underWay / lines.length));
    let heard = performance.now();
    for (let now = heard; now < until; ) {
      for (const line of lines) {
        if (this.#take(line, tally) > 0) heard = now;
        const room = Math.min(each - line.underWay, batch);
        now = performance.now();
        for (let i = 0; i < room; i++) this.#push(line, now);
        tally.asked += room;
        if (room > 0) line.client.send();
      }
      if (now - heard > lateMs) {
        // Whatever is under way is gone: it would be waited for until the end.
        for (const line of lines) tally.lost += line.forget();
        heard = now;
      }
    }
  }

  #open(lines: readonly Line[], tally: Tally, perSecond: number, seconds: number): void {
    const total = Math.floor(perSecond * seconds);
    const [began, betweenMs] = [performance.now(), 1000 / perSecond];
    for (let turn = 0; tally.asked < total; turn++) {
      const line = lines[turn % lines.length]!;
      const due = Math.min(total, Math.floor((performance.now() - began) / betweenMs) + 1, tally.asked + batch);
      if (due > tally.asked) {
        for (; tally.asked < due; tally.asked++) this.#push(line, began + tally.asked * betweenMs);
        line.client.send();
      }
      for (const other of lines) if (other.underWay > 0) this.#take(other, tally);
    }
  }

  #push(line: Line, at: number): void {
    const question = this.#next++;
    if (this.#next === this.#count) this.#next = 0;
    const id = line.begin(question, at);
    const from = question * stride;
    this.#slab[from] = id >> 8;
    this.#slab[from + 1] = id & 255;
    line.client.push(from, this.#lengths[question]!);
  }

  #take(line: Line, tally: Tally): number {
    const { client } = line;
    const received = client.receive();
    if (received === 0) return 0;
    const now = performance.now();
    const { answers, receiveBytes } = client;
    for (let i = 0; i < received; i++) {
      const at = i * receiveBytes;
      const sentAt = line.end((answers[at]! << 8) | answers[at + 1]!);
      // An answer that nobody waits for (any more).
      if (sentAt === 0) continue;
      const us = (now - sentAt) * 1000;
      tally.times.add(us);
      if (us > tally.most) tally.most = us;
      tally.answered++;
      if (this.#judged) this.#judge(line.ended, answers, at, client.answerLength(i), i === 0, tally);
    }
    return received;
  }

  #judge(question: number, answer: Buffer, at: number, length: number, wholeQuestion: boolean, tally: Tally): void {
    const [high, low] = [answer[at + 2]!, answer[at + 3]!];
    const truncated = (high & 2) !== 0;
    const records = (answer[at + 6]! << 8) | answer[at + 7]!;
    const expected = this.#answers[question]!;
    if (truncated) tally.truncated++;
    const right = (high & 0x80) !== 0 && (low & 15) === this.#rcodes[question] && (truncated ? records <= expected : records === expected);
    if (!right || (wholeQuestion && !this.#isEcho(question, answer, at, length))) tally.wrong++;
  }

  /** The question comes back as it was asked. */
  #isEcho(question: number, answer: Buffer, at: number, length: number): boolean {
    const from = question * stride;
    let end = from + 12;
    while (this.#slab[end] !== 0) end += this.#slab[end]! + 1;
    const bytes = end + 5 - from;
    return length >= bytes && this.#slab.compare(answer, at + 12, at + bytes, from + 12, from + bytes) === 0;
  }
}

interface Tally {
  asked: number;
  answered: number;
  lost: number;
  wrong: number;
  truncated: number;
  times: Histogram;
  most: number;
}

/** One socket and what is under way on it, by id. */
class Line {
  readonly client: DatagramClient;
  /** 0: nothing is under way with this id. */
  readonly #sentAt = new Float64Array(65536);
  readonly #question = new Uint32Array(65536);
  #id = 0;
  underWay = 0;
  /** The question that `end` was about. */
  ended = 0;

  constructor(options: ConstructorParameters<typeof DatagramClient>[0]) {
    this.client = new DatagramClient(options);
  }

  /** @returns its id */
  begin(question: number, at: number): number {
    this.#id = (this.#id + 1) & 65535;
    if (this.#sentAt[this.#id] === 0) this.underWay++;
    this.#sentAt[this.#id] = at;
    this.#question[this.#id] = question;
    return this.#id;
  }

  /** @returns when it was begun; 0 when it was not */
  end(id: number): number {
    const at = this.#sentAt[id]!;
    if (at === 0) return 0;
    this.#sentAt[id] = 0;
    this.ended = this.#question[id]!;
    this.underWay--;
    return at;
  }

  /** @returns how many were under way */
  forget(): number {
    const { underWay } = this;
    this.#sentAt.fill(0);
    this.underWay = 0;
    return underWay;
  }
}
