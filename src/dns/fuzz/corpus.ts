import { answer, question, type RecordText } from '../testkit/message.ts';
import { flag } from '../wire/constants.ts';

const cookie = Buffer.from('000a00080102030405060708', 'hex');
const subnet = Buffer.from('00080007000118000a0000', 'hex');

/** Questions of all kinds that the pipeline knows, for names that exist, do not, and are forwarded. */
export const questions: readonly Buffer[] = [
  ...[
    'web.default.svc.cluster.local',
    'db.default.svc.cluster.local',
    'db-0.db.default.svc.cluster.local',
    'no.default.svc.cluster.local',
  ].flatMap((name) => [
    question(name),
    question(name, { type: 'AAAA', edns: 1232 }),
    question(name, { type: 'SRV', edns: 4096, options: cookie }),
  ]),
  question('_http._tcp.web.default.svc.cluster.local', { type: 'SRV' }),
  question('out.default.svc.cluster.local', { edns: 512 }),
  question('loop.default.svc.cluster.local'),
  question('1.1.96.10.in-addr.arpa', { type: 'PTR' }),
  question('cluster.local', { type: 'SOA' }),
  question('cluster.local', { type: 'ANY' }),
  question('cluster.local', { type: 'AXFR' }),
  question('dns-version.cluster.local', { type: 'TXT', edns: 1232, dnssecOk: true }),
  question('10-244-1-7.default.pod.cluster.local'),
  question('.', { type: 'NS' }),
  question('www.example.com'),
  question('db.example.com', { edns: 1232 }),
  question('web.prod.example.com', { type: 'AAAA' }),
  question('a-eu.example.com'),
  question('10.2.0.192.in-addr.arpa', { type: 'PTR' }),
  question('wWw.ExAmPlE.com', { edns: 1232, options: subnet }),
  question('www.example.com', { flags: flag.RD | flag.CD, edns: 1232, dnssecOk: true }),
  question('api.example.com.default.svc.cluster.local'),
  question('www.example.com', { flags: 0 }),
  question('www.example.com', { class: 3 }),
  question('www.example.com', { edns: 1232, version: 1 }),
  question('www.example.com', { flags: flag.QR | flag.RD }),
  question('www.example.com', { flags: 0x2800 }),
  question('www.example.com', { type: 'HINFO' }),
  question(`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`),
  question(Array.from({ length: 127 }, () => 'x').join('.')),
];

/** The name that all answers are to. */
export const askedName = 'www.example.com';

const a = (name: string, data = '192.0.2.1', ttl = 60): RecordText => ({ name, type: 'A', data, ttl });
const alias = (name: string, data: string): RecordText => ({ name, type: 'CNAME', data });
const soa: RecordText = { name: 'example.com', type: 'SOA', data: '30' };
const asked = question(askedName, { edns: 1232 });
const pointing = (...data: number[][]): Buffer =>
  Buffer.concat([
    Buffer.from([0, 0, 0x81, 0x80, 0, 1, 0, data.length, 0, 0, 0, 0]),
    asked.subarray(12, 12 + askedName.length + 6),
    ...data.map((bytes) => Buffer.from([0xc0, 12, 0, bytes[0]!, 0, 1, 0, 0, 0, 60, 0, bytes.length - 1, ...bytes.slice(1)])),
  ]);

/** Answers of resolvers to a question for `askedName`, type A; ids are set later. */
export const answers: readonly Buffer[] = [
  answer(asked, { answers: [a(askedName), a(askedName, '192.0.2.2', 0x7fffffff)] }),
  answer(asked, { answers: [alias(askedName, 'b.example.net'), alias('b.example.net', 'c.example.org'), a('c.example.org')] }),
  answer(asked, { answers: [alias(askedName, 'b.example'), alias('b.example', askedName)] }),
  answer(asked, {
    answers: [alias(askedName, 'web.default.svc.cluster.local'), a('web.default.svc.cluster.local', '203.0.113.66')],
  }),
  answer(asked, { rcode: 3, authority: [soa] }),
  answer(asked, { authority: [soa] }),
  answer(asked, { rcode: 2 }),
  answer(asked, { flags: flag.TC }),
  answer(asked, {
    answers: [a(askedName)],
    authority: [{ name: 'com', type: 'NS', data: 'ns.evil.example' }],
    additional: [a('ns.evil.example', '203.0.113.66')],
  }),
  answer(asked, { answers: Array.from({ length: 60 }, (_, i) => a(askedName, `192.0.2.${i}`)) }),
  // Compressed: an alias to the question's own parent, MX, SRV, NAPTR and SOA whose names point into the question.
  pointing([5, 1, 98, 0xc0, 16], [1, 192, 0, 2, 9]),
  pointing([15, 0, 10, 4, 109, 97, 105, 108, 0xc0, 16]),
  pointing([33, 0, 0, 0, 5, 0, 80, 0xc0, 12]),
  pointing([35, 0, 1, 0, 1, 1, 115, 1, 65, 0, 0xc0, 16]),
  pointing([6, 0xc0, 16, 1, 114, 0xc0, 16, ...new Array<number>(20).fill(0)]),
  pointing([39, 0xc0, 16]),
];
