import assert from 'node:assert/strict';
import test from 'node:test';
import { Mac } from './mac.ts';

test('a MAC address is six hex pairs with colons, in either case', () => {
  assert.equal(String(Mac.parse('0A:58:0a:f4:01:fF')), '0a:58:0a:f4:01:ff');
  assert.deepEqual(Mac.parse('00:09:10:99:a0:ff').bytes, Uint8Array.of(0, 9, 0x10, 0x99, 0xa0, 0xff));
});

test('anything else is refused with the text that was seen', () => {
  const wrong = [
    '',
    '0a:58:0a:f4:01',
    '0a:58:0a:f4:01:0',
    '0a:58:0a:f4:01:007',
    '0a-58-0a-f4-01-07',
    'g0:58:0a:f4:01:07',
    '0g:58:0a:f4:01:07',
  ];
  for (const text of [
    ...wrong,
    '/0:58:0a:f4:01:07',
    '@0:58:0a:f4:01:07',
    '`0:58:0a:f4:01:07',
    '0a:58:0a:f4:01:0\u0130',
    ' 0a:58:0a:f4:01:0',
  ])
    assert.throws(
      () => Mac.parse(text),
      (error: Error) => error instanceof SyntaxError && error.message.includes(`"${text}"`),
    );
});
