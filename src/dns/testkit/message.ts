import { IpAddr } from '../../net/ip.ts';
import { flag, rcodeName, rrType, typeName } from '../wire/constants.ts';
import { type Message, ownerOf, parseMessage, type RecordAt } from '../wire/message.ts';
import { formatName, parseName, readName } from '../wire/names.ts';

/** Messages for tests: built and read without the product's writers, so that both sides do not share a mistake. */

export interface QuestionOptions {
  id?: number;
  type?: keyof typeof rrType | number;
  class?: number;
  flags?: number;
  /** EDNS size; undefined: no OPT. */
  edns?: number;
  version?: number;
  dnssecOk?: boolean;
  options?: Buffer;
}

const words = (...values: number[]): Buffer => Buffer.from(values.flatMap((value) => [(value >> 8) & 255, value & 255]));

export function question(name: string, options: QuestionOptions = {}): Buffer {
  const {
    id = 0x1234,
    type = 'A',
    flags = flag.RD,
    edns,
    version = 0,
    dnssecOk = false,
    options: extra = Buffer.alloc(0),
  } = options;
  const number = typeof type === 'number' ? type : rrType[type];
  const head = words(id, flags, 1, 0, 0, edns === undefined ? 0 : 1);
  const body = Buffer.concat([Buffer.from(parseName(name), 'latin1'), words(number, options.class ?? 1)]);
  const opt = Buffer.concat([Buffer.of(0), words(41, edns ?? 0, version, dnssecOk ? 0x8000 : 0, extra.length), extra]);
  return Buffer.concat([head, body, ...(edns === undefined ? [] : [opt])]);
}

export interface RecordText {
  name: string;
  type: keyof typeof rrType;
  ttl?: number;
  /** A, AAAA: address; CNAME, PTR, NS: name; SOA: minimum; TXT: text. */
  data: string;
}

/** An answer as a resolver would give it: nothing compressed. */
export function answer(
  request: Buffer,
  {
    rcode = 0,
    flags = 0,
    answers = [],
    authority = [],
    additional = [],
  }: { rcode?: number; flags?: number; answers?: RecordText[]; authority?: RecordText[]; additional?: RecordText[] },
): Buffer {
  const asked = parseMessage(request);
  const opt = Buffer.concat([Buffer.of(0), words(41, 1232, 0, 0, 0)]);
  return Buffer.concat([
    words(asked.id, flag.QR | flag.RD | flag.RA | flags | rcode, 1, answers.length, authority.length, additional.length + 1),
    request.subarray(12, asked.questionEnd),
    ...[...answers, ...authority, ...additional].map(encodeRecord),
    opt,
  ]);
}

function encodeRecord({ name, type, ttl = 60, data }: RecordText): Buffer {
  const bytes = encodeData(type, data);
  return Buffer.concat([
    Buffer.from(parseName(name), 'latin1'),
    words(rrType[type], 1, ttl >> 16, ttl & 0xffff, bytes.length),
    bytes,
  ]);
}

function encodeData(type: keyof typeof rrType, data: string): Buffer {
  if (type === 'A' || type === 'AAAA') return Buffer.from(IpAddr.parse(data).bytes);
  if (type === 'TXT') return Buffer.concat([Buffer.of(data.length), Buffer.from(data)]);
  if (type !== 'SOA') return Buffer.from(parseName(data), 'latin1');
  const names = Buffer.from(parseName('ns.example') + parseName('root.example'), 'latin1');
  return Buffer.concat([names, words(0, 1, 0, 1, 0, 1, 0, 1, 0, Number(data))]);
}

export interface Read {
  id: number;
  rcode: string;
  flags: string[];
  /** With the case it has on the wire. */
  name: string;
  /** `name ttl type data` */
  answers: string[];
  authority: string[];
  additional: string[];
  edns: boolean;
  bytes: number;
}

/** @throws RangeError when the message is malformed */
export function read(buffer: Buffer): Read {
  if (buffer.readUInt16BE(4) === 0) {
    const rcode = rcodeName(buffer[3]! & 15);
    return {
      id: buffer.readUInt16BE(0),
      rcode,
      flags: flagsOf(buffer.readUInt16BE(2)),
      name: '',
      answers: [],
      authority: [],
      additional: [],
      edns: false,
      bytes: buffer.length,
    };
  }
  const message = parseMessage(buffer);
  const last = message.records.at(-1)?.end ?? message.questionEnd;
  if (last !== buffer.length) throw new RangeError(`${buffer.length - last} bytes behind the last record`);
  const of = (section: string): string[] =>
    message.records
      .filter((record) => record.section === section && record.type !== rrType.OPT)
      .map((record) => text(message, record));
  return {
    ...{ id: message.id, rcode: rcodeName(message.rcode), flags: flagsOf(message.flags), bytes: buffer.length },
    name: formatName(readName(buffer, 0, 12, buffer.length).name),
    ...{ answers: of('answer'), authority: of('authority'), additional: of('additional') },
    edns: message.records.some(({ type }) => type === rrType.OPT),
  };
}

const flagsOf = (flags: number): string[] =>
  Object.entries(flag)
    .filter(([, bit]) => flags & bit)
    .map(([name]) => name);

function text(message: Message, record: RecordAt): string {
  return `${formatName(ownerOf(message, record))} ${record.ttl} ${typeName(record.type)} ${dataText(message, record)}`;
}

function dataText({ buffer }: Message, { type, dataAt, end }: RecordAt): string {
  const data = Buffer.from(buffer.subarray(dataAt, end));
  const nameAt = (at: number): { name: string; next: number } => {
    const { name, next } = readName(buffer, 0, at, end);
    return { name: formatName(name), next };
  };
  if (type === rrType.A || type === rrType.AAAA) return String(IpAddr.fromBytes(data));
  if (type === rrType.TXT) return JSON.stringify(data.toString('latin1', 1));
  if (type === rrType.CNAME || type === rrType.PTR || type === rrType.NS) return nameAt(dataAt).name;
  if (type === rrType.SRV)
    return `${data.readUInt16BE(0)} ${data.readUInt16BE(2)} ${data.readUInt16BE(4)} ${nameAt(dataAt + 6).name}`;
  if (type === rrType.SOA) {
    const mname = nameAt(dataAt);
    const rname = nameAt(mname.next);
    return `${mname.name} ${rname.name} minimum ${data.readUInt32BE(data.length - 4)}`;
  }
  return data.toString('hex');
}
