import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, printable, Style, table, width } from './output.ts';

test('columns line up, colour codes take no room, and no line ends in blanks', () => {
  const style = new Style(true);
  const text = table(
    ['CHECK', 'OK', 'NOTE'],
    [
      ['pod to pod', style.paint('green', '72'), ''],
      ['node to pod', '9', 'same node and across'],
    ],
    [1],
  );
  const lines = text.split('\n');
  assert.equal(lines[0], 'CHECK         OK   NOTE');
  assert.equal(width(lines[1]!), width('pod to pod    72'));
  assert.equal(lines[2], 'node to pod    9   same node and across');
});

test('a pipe gets no colours', () => {
  assert.equal(Style.of({}).paint('red', 'x'), 'x');
  assert.equal(Style.of({ isTTY: true }, true).paint('red', 'x'), 'x');
});

test('T40: control characters in names are shown, never sent to the terminal', () => {
  assert.equal(printable('a\nb\u001b[31m'), 'a\\x0ab\\x1b[31m');
});

test('durations are short', () => {
  assert.deepEqual([420, 12_345, 125_000].map(duration), ['0.42s', '12.3s', '2m05s']);
});
