import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sniff } from './sniff.ts';

const table: [string, string, ReturnType<typeof sniff>][] = [
  ['a request', 'GET / HTTP/1.1\r\n', 'http1'],
  ['the start of a method', 'DELE', undefined],
  ['a method without its space', 'GET\n', 'other'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
  ['a part of the preface', 'PRI * HTTP/2.0\r\n', undefined],
  ['what P may become', 'P', undefined],
  ['a TLS handshake', '\x16\x03\x01\x02\x00', 'tls'],
  ['the first byte of TLS', '\x16', undefined],
  ['not TLS after all', '\x16\x05', 'other'],
  ['PING of Redis', 'PING\r\n', 'other'],
  ['nothing', '', undefined],
];
for (const [what, text, expected] of table) {
  test(`${what} is ${expected ?? 'not enough'}`, () => assert.equal(sniff(Buffer.from(text, 'latin1')), expected));
}

test('what was decided for the first bytes stays for any more of them, and 24 bytes are always enough', () => {
  const likely = fc.constantFrom(...table.map(([, text]) => text)).map((text) => Buffer.from(text, 'latin1'));
  const bytes = fc.tuple(likely, fc.uint8Array({ maxLength: 30 })).map(([start, rest]) => Buffer.concat([start, rest]));
  fc.assert(
    fc.property(bytes, fc.nat(60), (all, cut) => {
      const early = sniff(all.subarray(0, cut));
      if (early !== undefined) assert.equal(sniff(all), early);
      if (all.length >= 24) assert.notEqual(sniff(all), undefined);
    }),
  );
});
