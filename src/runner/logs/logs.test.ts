import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { LogWriter, readLog } from './index.ts';

const all = { follow: false, timestamps: false };

async function inFolder(run: (path: string, dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync('/tmp/podnet-test-logs-');
  try {
    await run(join(dir, 'c/0.log'), dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('lines are written as CRI logs have them, and an unfinished one is marked at the end', () =>
  inFolder(async (path) => {
    const log = new LogWriter(path);
    log.write('stdout', 'one\ntw', 1_700_000_000_123_456_789n);
    log.write('stderr', 'oops\n', 1_700_000_000_200_000_000n);
    log.write('stdout', 'o\nrest', 1_700_000_000_300_000_000n);
    log.close();
    const [first, second, third, fourth] = readFileSync(path, 'utf8').split('\n');
    assert.equal(first, '2023-11-14T22:13:20.123456789Z stdout F one');
    assert.equal(second, '2023-11-14T22:13:20.200000000Z stderr F oops');
    assert.equal(third, '2023-11-14T22:13:20.300000000Z stdout F two');
    assert.match(fourth!, /^\S{30} stdout P rest$/);
    assert.equal(await text(await readLog(path, all)), 'one\noops\ntwo\nrest');
  }));

test('a long line is written in parts and read as one, with one time', () =>
  inFolder(async (path) => {
    const line = 'x'.repeat(40_000);
    const log = new LogWriter(path);
    for (let at = 0; at < line.length; at += 1000) log.write('stdout', line.slice(at, at + 1000), 1_700_000_000_000_000_000n);
    log.write('stdout', '\nnext\n', 1_700_000_001_000_000_000n);
    log.close();
    const shown = await text(await readLog(path, { ...all, timestamps: true }));
    assert.equal(shown, `2023-11-14T22:13:20.000000000Z ${line}\n2023-11-14T22:13:21.000000000Z next\n`);
  }));

test('tail and since choose lines, over rotated files too, of which only some are kept', () =>
  inFolder(async (path, dir) => {
    const log = new LogWriter(path, { maxBytes: 500, maxFiles: 3 });
    for (let index = 0; index < 100; index++)
      log.write('stdout', `line ${index}\n`, BigInt(1_700_000_000 + index) * 1_000_000_000n);
    log.close();
    assert.deepEqual(readdirSync(join(dir, 'c')).sort(), ['0.log', '0.log.1', '0.log.2']);
    const expected = (from: number): string =>
      Array.from({ length: 100 - from }, (_, index) => `line ${from + index}\n`).join('');
    const whole = await text(await readLog(path, all));
    assert.ok(expected(0).endsWith(whole) && whole.length > 150, whole);
    for (const count of [0, 1, 3, 12, 20])
      assert.equal(await text(await readLog(path, { ...all, tailLines: count })), expected(100 - count));
    const since = new Date((1_700_000_000 + 95) * 1000);
    assert.equal(await text(await readLog(path, { ...all, sinceTime: since })), expected(95));
  }));

test('following gives every line once across rotations, and ends when the log is closed', () =>
  inFolder(async (path) => {
    const log = new LogWriter(path, { maxBytes: 2000, maxFiles: 5 });
    const following = await readLog(path, { ...all, follow: true });
    let seen = '';
    following.setEncoding('utf8').on('data', (part: string) => (seen += part));
    let expected = '';
    for (let index = 0; index < 400; index++) {
      log.write('stdout', `line ${index}\n`);
      expected += `line ${index}\n`;
      // Who is too slow misses what is rotated away: 20 lines are less than a file holds.
      while (index % 20 === 0 && seen.length < expected.length) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    log.close();
    await once(following, 'end');
    assert.equal(seen, expected);
  }));

test('a reader that goes away in the middle of following leaves nothing open', () =>
  inFolder(async (path) => {
    const log = new LogWriter(path);
    log.write('stdout', 'hello\n');
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const stream = await readLog(path, { ...all, follow: true });
    assert.equal(String((await stream[Symbol.asyncIterator]().next()).value), 'hello\n');
    stream.destroy();
    for (let tries = 0; count() > before && tries < 200; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(count(), before);
    log.close();
  }));
