import { IpAddr } from '../../net/ip.ts';
import { rcodeName, rrType, typeName } from '../wire/constants.ts';
import { type Message, parseMessage, type RecordAt } from '../wire/message.ts';
import { formatName } from '../wire/names.ts';
import type { Query } from '../wire/query.ts';
import type { Reply } from '../wire/reply.ts';
import { wholeData } from '../wire/relocate.ts';
import type { PodIndex } from '../zone/pods.ts';

/** One question with its answer, as `podnet dns log` tells it. */
export interface LogEntry {
  /** RFC 3339 */
  time: string;
  client: string;
  /** `namespace/name` of the pod that asks, where that is known. */
  pod?: string;
  proto: string;
  name: string;
  type: string;
  rcode: string;
  /** Data of the answer section: addresses, names. */
  answers: string[];
  truncated?: true;
  /** Which step of the pipeline answered. */
  by: string;
  /** Microseconds until the answer was ready. */
  us: number;
  bytes: number;
}

/** What a reader wants; entries of others are not even written. */
export interface LogFilter {
  /** `namespace/name`, or a name in any namespace. */
  pod?: string;
  /** The name itself and those below. */
  name?: string;
  rcode?: string;
}

export interface LogReader {
  filter: LogFilter;
  /** @returns false when the reader is behind: the entry is dropped and counted */
  take(entry: LogEntry): boolean;
}

/** Entries told in a second, whatever was asked for: more is dropped, and counted, before it costs anything. */
const mostPerSecond = 5000;

/** Tells readers of each question and answer while there are any. Without readers the price is one comparison for each question. */
export class LogTap {
  isRead = false;
  /** Since the start. */
  dropped = 0;
  readonly #pods: PodIndex | undefined;
  readonly #readers = new Map<LogReader, { dropped: number }>();
  #second = 0;
  #inSecond = 0;

  constructor(pods?: PodIndex) {
    this.#pods = pods;
  }

  /** @returns the end of it */
  read(reader: LogReader): Disposable & { readonly dropped: number } {
    const state = { dropped: 0 };
    this.#readers.set(reader, state);
    this.isRead = true;
    return {
      get dropped() {
        return state.dropped;
      },
      [Symbol.dispose]: () => {
        this.#readers.delete(reader);
        this.isRead = this.#readers.size > 0;
      },
    };
  }

  /** @param beganMs when the question came, by performance.now */
  note(query: Query, reply: Reply, by: string | undefined, beganMs: number): void {
    const now = performance.now();
    if (now - this.#second > 1000) {
      this.#second = now;
      this.#inSecond = 0;
    }
    if (++this.#inSecond > mostPerSecond) {
      this.dropped++;
      for (const state of this.#readers.values()) state.dropped++;
      return;
    }
    const entry = this.#entry(query, reply, by, now - beganMs);
    for (const [reader, state] of this.#readers) {
      if (!matches(entry, reader.filter) || reader.take(entry)) continue;
      state.dropped++;
      this.dropped++;
    }
  }

  #entry(query: Query, reply: Reply, by = '', ms: number): LogEntry {
    const pod = this.#pods?.at(query.client);
    const flags = reply.buffer[reply.at + 2]!;
    return {
      ...{ time: new Date().toISOString(), client: String(query.client) },
      ...(pod ? { pod: `${pod.namespace}/${pod.name}` } : {}),
      proto: query.transport,
      name: query.hasQuestion ? formatName(query.name()) : '',
      type: query.hasQuestion ? typeName(query.type) : '',
      rcode: rcodeName(reply.buffer[reply.at + 3]! & 0xf),
      answers: query.hasQuestion ? answersOf(reply) : [],
      ...(flags & 2 ? { truncated: true as const } : {}),
      ...{ by, us: Math.round(ms * 1000), bytes: reply.length },
    };
  }
}

const mostAnswers = 8;

function answersOf(reply: Reply): string[] {
  const message = parseMessage(Buffer.from(reply.buffer.subarray(reply.at, reply.at + reply.length)));
  const answers = message.records.filter(({ section }) => section === 'answer');
  const texts = answers.slice(0, mostAnswers).map((record) => dataText(message, record));
  return answers.length > mostAnswers ? [...texts, `and ${answers.length - mostAnswers} more`] : texts;
}

/** A record's data for people. */
export function dataText(message: Message, record: RecordAt): string {
  const data = wholeData(message, record);
  const { type } = record;
  const name = (at: number): string => formatName(data.slice(at));
  const word = (at: number): number => (data.charCodeAt(at) << 8) | data.charCodeAt(at + 1);
  if ((type === rrType.A && data.length === 4) || (type === rrType.AAAA && data.length === 16))
    return String(IpAddr.fromBytes(Buffer.from(data, 'latin1')));
  if (type === rrType.CNAME || type === rrType.PTR || type === rrType.NS || type === rrType.DNAME) return name(0);
  if (type === rrType.SRV && data.length > 6) return `${word(0)} ${word(2)} ${word(4)} ${name(6)}`;
  if (type === rrType.MX && data.length > 2) return `${word(0)} ${name(2)}`;
  if (type === rrType.TXT) return textsOf(data);
  return `\\# ${data.length} ${Buffer.from(data, 'latin1').toString('hex')}`;
}

/** RFC 1035 3.3.14: strings with their length before them. */
function textsOf(data: string): string {
  const texts: string[] = [];
  for (let at = 0; at < data.length; at += data.charCodeAt(at) + 1)
    texts.push(JSON.stringify(data.slice(at + 1, at + 1 + data.charCodeAt(at))));
  return texts.join(' ');
}

function matches({ pod, name, rcode }: LogEntry, wanted: LogFilter): boolean {
  if (wanted.rcode !== undefined && rcode !== wanted.rcode.toUpperCase()) return false;
  if (wanted.pod !== undefined && pod !== wanted.pod && (wanted.pod.includes('/') || pod?.split('/')[1] !== wanted.pod)) return false;
  if (wanted.name === undefined) return true;
  const end = `${wanted.name.toLowerCase().replace(/\.$/, '')}.`;
  return name === end || name.endsWith(`.${end}`);
}
