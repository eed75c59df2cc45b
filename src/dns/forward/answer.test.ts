import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, question, type RecordText, read } from '../testkit/message.ts';
import { flag, rcode, rrType } from '../wire/constants.ts';
import { parseMessage } from '../wire/message.ts';
import { parseName } from '../wire/names.ts';
import { type Answer, type Judgement, messageOf, reduceAnswer, type Unusable } from './answer.ts';

const name = 'www.example.com';
const asked = { name: parseName(name), type: rrType.A };
const a = (owner: string, data = '192.0.2.1', ttl = 60): RecordText => ({ name: owner, type: 'A', data, ttl });
const alias = (owner: string, data: string, ttl = 60): RecordText => ({ name: owner, type: 'CNAME', data, ttl });
const soa = (owner: string, ttl = 20, minimum = 11): RecordText => ({ name: owner, type: 'SOA', ttl, data: String(minimum) });

type Said = Parameters<typeof answer>[1];
const reduced = (said: Said, judgement?: Judgement): Answer | Unusable =>
  reduceAnswer(parseMessage(answer(question(name), said)), asked, judgement);
function taken(said: Said, judgement?: Judgement): Answer {
  const got = reduced(said, judgement);
  assert.ok(typeof got !== 'string', `unusable: ${got}`);
  return got;
}
const seen = (kept: Answer) => read(Buffer.from(messageOf(kept).buffer));

test('T30: only the aliases from the name on and the records at their end are taken; nothing else of an answer is', () => {
  const kept = taken({
    answers: [
      a('other.example.com'),
      alias(name, 'cdn.example.net'),
      a(name.replace('www', 'mail')),
      a('cdn.example.net'),
      a('bank.example', '203.0.113.66'),
    ],
    authority: [{ name: 'com', type: 'NS', data: 'ns.evil.example' }],
    additional: [a('ns.evil.example', '203.0.113.66'), a('bank.example', '203.0.113.66')],
  });
  const { answers, authority, additional } = seen(kept);
  assert.deepEqual(answers, [`${name}. 60 CNAME cdn.example.net.`, 'cdn.example.net. 60 A 192.0.2.1']);
  assert.deepEqual([authority, additional], [[], []]);
  assert.ok(!kept.records.includes('evil') && !kept.records.includes('bank'));
});

test('T30: aliases that lead to a name of our own end there: no resolver speaks for it', () => {
  const own = 'web.default.svc.cluster.local';
  const isOwn = (at: string): boolean => at.endsWith(parseName('cluster.local'));
  const kept = taken({ answers: [alias(name, own), a(own, '203.0.113.66')] }, { isOwn });
  assert.deepEqual(seen(kept).answers, [`${name}. 60 CNAME ${own}.`]);
  assert.equal(kept.own?.name, parseName(own));
});

test('T32: aliases in a circle, or more than ten of them, are no answer', () => {
  assert.equal(reduced({ answers: [alias(name, 'b.example'), alias('b.example', name)] }), 'alias loop');
  const chain = (length: number): RecordText[] =>
    Array.from({ length }, (_, i) => alias(i === 0 ? name : `n${i}.example`, `n${i + 1}.example`));
  assert.equal(reduced({ answers: [...chain(12), a('n12.example')] }), 'alias loop');
  assert.equal(seen(taken({ answers: [...chain(10), a('n10.example')] })).answers.length, 11);
});

test('T32: addresses that are denied are taken out of what outside names have (rebinding)', () => {
  const isDenied = (address: Uint8Array): boolean => address[0] === 10;
  const kept = taken({ answers: [a(name, '10.0.0.1'), a(name, '192.0.2.1')] }, { isDenied });
  assert.deepEqual(seen(kept).answers, [`${name}. 60 A 192.0.2.1`]);
  const nothing = taken({ answers: [a(name, '10.0.0.1', 7)] }, { isDenied });
  assert.deepEqual([nothing.answers, nothing.rcode, nothing.negative, nothing.ttl], [0, rcode.NOERROR, true, 7]);
});

test('RFC 2308: an answer holds as long as its shortest TTL, an absence as long as SOA says, without SOA not at all', () => {
  const holds = (said: Said): number => taken(said).ttl;
  assert.equal(holds({ answers: [a(name, '192.0.2.1', 9), a(name, '192.0.2.2', 7)] }), 7);
  assert.equal(holds({ rcode: rcode.NXDOMAIN, authority: [soa('example.com')] }), 11, 'the minimum');
  assert.equal(holds({ rcode: rcode.NXDOMAIN, authority: [soa('example.com', 8)] }), 8, 'the TTL');
  assert.equal(holds({ authority: [soa('com', 900, 900)] }), 900, 'NODATA');
  assert.equal(holds({ rcode: rcode.NXDOMAIN }), 0);
  assert.equal(holds({ rcode: rcode.NXDOMAIN, authority: [soa('example.net')] }), 0, 'T30: the SOA of another zone');
  const { authority, rcode: code } = seen(taken({ rcode: rcode.NXDOMAIN, authority: [soa('example.com')] }));
  assert.equal(code, 'NXDOMAIN');
  assert.match(authority[0] ?? '', /^example\.com\. 11 SOA ns\.example\. root\.example\. minimum 11$/);
  // The alias holds, what it leads to does not exist.
  const half = taken({ rcode: rcode.NXDOMAIN, answers: [alias(name, 'gone.example.net', 5)], authority: [soa('example.net')] });
  assert.deepEqual([half.ttl, half.negative, seen(half).answers.length], [5, true, 1]);
});

test('failures, referrals and contradictions are a reason to ask another resolver', () => {
  assert.equal(reduced({ rcode: rcode.SERVFAIL }), 'rcode SERVFAIL');
  assert.equal(reduced({ rcode: rcode.REFUSED }), 'rcode REFUSED');
  assert.equal(reduced({ authority: [{ name: 'com', type: 'NS', data: 'a.gtld.example' }] }), 'lame');
  assert.equal(reduced({ rcode: rcode.NXDOMAIN, answers: [a(name)] }), 'contradiction');
});

test('data that are not what their type says make the whole message malformed', () => {
  const short = answer(question(name), { answers: [a(name)] });
  // An A record of three bytes, with everything else in order.
  const at = short.indexOf(Buffer.from([192, 0, 2, 1]));
  const wrong = Buffer.concat([
    short.subarray(0, at - 2),
    Buffer.from([0, 3]),
    short.subarray(at, at + 3),
    short.subarray(at + 4),
  ]);
  assert.throws(() => reduceAnswer(parseMessage(wrong), asked), RangeError);
});

test('names that were compressed against what is left out are written anew, and every type comes through as it was', () => {
  // MX and SRV records whose names end in the name of a record that is not taken.
  const junk = Buffer.from(`${parseName('mail.junk.example')}`, 'latin1');
  const head = answer(question(name, { type: 15 }), { answers: [a('junk.example')] });
  const message = parseMessage(head);
  const junkAt = message.records[0]!.at;
  const opt = head.subarray(message.records[0]!.end);
  const body = head.subarray(0, message.records[0]!.end);
  const record = (type: number, data: Buffer): Buffer =>
    Buffer.concat([Buffer.of(0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length), data]);
  const pointer = Buffer.of(0xc0 | (junkAt >> 8), junkAt & 255);
  const mx = Buffer.concat([Buffer.of(0, 10, 4), Buffer.from('mail'), pointer]);
  const packet = Buffer.concat([body, record(15, mx), opt]);
  packet.writeUInt16BE(2, 6);
  const kept = reduceAnswer(parseMessage(packet), { ...asked, type: 15 });
  assert.ok(typeof kept !== 'string');
  assert.equal(kept.records.slice(-junk.length), junk.toString('latin1'));
  assert.equal(kept.answers, 1);
});

test('AD is kept, and the message that is made of an answer is well-formed with TTLs as wanted', () => {
  const kept = taken({ flags: flag.AD, answers: [alias(name, 'b.example'), a('b.example')] });
  assert.equal(kept.authenticated, true);
  assert.deepEqual(
    read(Buffer.from(messageOf(kept, 30).buffer)).answers.map((text) => text.split(' ')[1]),
    ['30', '30'],
  );
});

test('signatures and proofs are for those who ask with DO (RFC 4035): of the names of the answer, and of an absence', () => {
  const raw = (owner: string, type: number, data: Buffer): Buffer => {
    const fixed = Buffer.from([type >> 8, type & 255, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 255]);
    return Buffer.concat([Buffer.from(parseName(owner), 'latin1'), fixed, data]);
  };
  const signature = (owner: string, covered: number): Buffer =>
    raw(
      owner,
      46,
      Buffer.concat([
        Buffer.from([covered >> 8, covered & 255, 8, 2]),
        Buffer.alloc(14),
        Buffer.from(parseName('example.com'), 'latin1'),
        Buffer.alloc(64, 7),
      ]),
    );
  const next = (owner: string): Buffer =>
    raw(owner, 47, Buffer.concat([Buffer.from(parseName('z.example.com'), 'latin1'), Buffer.of(0, 1, 0x40)]));
  /** Records put behind those of a section, in front of OPT. */
  const said = (of: Said, counts: [answers: Buffer[], authority: Buffer[]]): Buffer => {
    const packet = answer(question(name), of);
    const opt = packet.length - 11;
    const [answers, authority] = counts;
    const all = Buffer.concat([packet.subarray(0, opt), ...answers, ...authority, packet.subarray(opt)]);
    all.writeUInt16BE(all.readUInt16BE(6) + answers.length, 6);
    all.writeUInt16BE(all.readUInt16BE(8) + authority.length, 8);
    return all;
  };
  const count = (packet: Buffer, dnssecOk: boolean): [number, number] => {
    const kept = reduceAnswer(parseMessage(packet), { ...asked, dnssecOk });
    assert.ok(typeof kept !== 'string', String(kept));
    return [kept.answers, kept.authority];
  };
  const signed = said({ answers: [a(name)] }, [
    [signature(name, 1), signature('other.example.com', 1)],
    [next('a.example.com'), signature('a.example.com', 47)],
  ]);
  assert.deepEqual(count(signed, false), [1, 0]);
  assert.deepEqual(count(signed, true), [2, 2], 'its own signature, and that nothing is closer than a wildcard');
  const absent = said({ rcode: rcode.NXDOMAIN, authority: [soa('example.com')] }, [
    [],
    [signature('example.com', 6), next('a.example.com'), signature('a.example.com', 47)],
  ]);
  assert.deepEqual(count(absent, false), [0, 1]);
  assert.deepEqual(count(absent, true), [0, 4]);
});
