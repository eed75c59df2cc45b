import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Pty } from './pty.ts';

const limit = { timeout: 20_000 };

function start(pty: Pty, ...command: string[]): ChildProcess {
  const child = spawn('setsid', ['--ctty', ...command], { stdio: [pty.slave, pty.slave, pty.slave] });
  pty.closeSlave();
  return child;
}
/** All output so far, and a wait until it matches. */
function screen(pty: Pty) {
  let text = '';
  pty.output.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return {
    text: () => text,
    async until(pattern: RegExp): Promise<void> {
      while (!pattern.test(text)) await once(pty.output, 'data');
    },
  };
}
const descriptors = (): number => readdirSync('/proc/self/fd').length;

test('a shell sees a terminal of the size given, and its changes', limit, async () => {
  using pty = Pty.open(99, 30);
  const child = start(pty, 'sh');
  const shown = screen(pty);
  pty.input.write('tty; stty size\n');
  await shown.until(/\/dev\/pts\/\d+\r\n[\s\S]*30 99\r\n/);
  pty.resize(132, 50);
  pty.input.write('stty size; exit 7\n');
  await shown.until(/50 132\r\n/);
  assert.deepEqual(await once(child, 'exit'), [7, null]);
});

test('control-C interrupts the foreground process', limit, async () => {
  using pty = Pty.open();
  const child = start(pty, 'sh', '-c', 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done');
  const shown = screen(pty);
  await shown.until(/ready/);
  pty.input.write('\x03');
  await shown.until(/caught/);
  assert.deepEqual(await once(child, 'exit'), [3, null]);
});

test('output ends, without error and complete, when the last process has gone', limit, async () => {
  using pty = Pty.open();
  const child = start(pty, 'seq', '1', '20000');
  const exit = once(child, 'exit');
  let text = '';
  for await (const chunk of pty.output) text += String(chunk);
  assert.ok(text.endsWith('19999\r\n20000\r\n'), text.slice(-40));
  assert.equal(text.split('\r\n').length, 20_001);
  assert.deepEqual(await exit, [0, null]);
});

test('keys that nobody reads do not stop this process', limit, async () => {
  using pty = Pty.open();
  const child = start(pty, 'sh', '-c', 'stty raw -echo; echo ready; exec sleep 60');
  await screen(pty).until(/ready/);
  const block = Buffer.alloc(1024 * 1024, 'x');
  const started = performance.now();
  assert.equal(pty.input.write(block), false);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(performance.now() - started < 5000);
  assert.ok(pty.input.writableNeedDrain);
  child.kill('SIGKILL');
  await once(child, 'exit');
});

test('hanging up ends the processes of the terminal and leaves no descriptor', limit, async () => {
  {
    using first = Pty.open();
    assert.ok(first.slave > 2);
  }
  await new Promise((resolve) => setImmediate(resolve));
  const before = descriptors();
  const pty = Pty.open();
  const child = start(pty, 'sh', '-c', 'echo ready; exec sleep 60');
  await screen(pty).until(/ready/);
  pty[Symbol.dispose]();
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGHUP']);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(descriptors(), before);
  pty.resize(1, 1);
  assert.throws(() => pty.slave, /closed/);
});
