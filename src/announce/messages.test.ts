import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import {
  advertisedAddress,
  arpQuestion,
  arpSender,
  gratuitousArp,
  ndSolicitation,
  solicitedNode,
  unsolicitedAdvertisement,
} from './messages.ts';

const own = Mac.parse('02:00:00:00:00:01');
const vip4 = IpAddr.parse('172.30.0.128');
const vip6 = IpAddr.parse('fd30::1:80');

test('gratuitous ARP is byte for byte what RFC 5227 asks for, as question and as answer', () => {
  const [question, answer] = gratuitousArp(vip4, own).map((frame) => frame.toString('hex'));
  const hex = (...parts: string[]): string => parts.join('');
  const ethernet = hex('ffffffffffff', '020000000001', '0806');
  assert.equal(question, hex(ethernet, '0001080006040001', '020000000001', 'ac1e0080', '000000000000', 'ac1e0080'));
  assert.equal(answer, hex(ethernet, '0001080006040002', '020000000001', 'ac1e0080', '020000000001', 'ac1e0080'));
});

test('an unsolicited advertisement overrides, and carries the MAC (RFC 4861 4.4)', () => {
  const message = unsolicitedAdvertisement(vip6, own);
  assert.equal(message.toString('hex'), '88000000' + '20000000' + 'fd300000000000000000000000010080' + '0201' + '020000000001');
  assert.equal(advertisedAddress(message)?.toString(), 'fd30::1:80');
});

test('a solicitation carries its sender’s MAC and goes where the target listens (RFC 4291 2.7.1)', () => {
  assert.equal(
    ndSolicitation(vip6, own).toString('hex'),
    '87000000' + '00000000' + 'fd300000000000000000000000010080' + '0101' + '020000000001',
  );
  assert.equal(solicitedNode(vip6).toString(), 'ff02::1:ff01:80');
  assert.equal(solicitedNode(IpAddr.parse('fe80::ffff:ffff:ffff')).toString(), 'ff02::1:ffff:ffff');
});

test('who says to have an address is read from questions and answers; other bytes are nobody', () => {
  const sender = IpAddr.parse('172.30.0.11');
  const said = arpSender(arpQuestion(vip4, sender, own));
  assert.deepEqual([said?.sender.toString(), said?.senderMac.toString()], ['172.30.0.11', '02:00:00:00:00:01']);
  const ipv6OverArp = arpQuestion(vip4, sender, own);
  ipv6OverArp.writeUInt16BE(0x86dd, 16);
  assert.equal(arpSender(ipv6OverArp), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 41 }), (bytes) => {
      assert.equal(arpSender(Buffer.from(bytes)), undefined);
      const address = advertisedAddress(Buffer.from(bytes));
      assert.equal(address !== undefined, bytes.length >= 24 && bytes[0] === 136);
    }),
  );
});
