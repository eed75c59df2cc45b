import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CniServer, startCniServer } from './server.ts';

interface Bench {
  path: string;
  server: CniServer;
  /** Fulfilled when so many calls run. */
  running(count: number): Promise<void>;
  /** Answers all of them. */
  answer(): void;
}

async function start(t: TestContext): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-test-cni-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'cni.sock');
  const calls: (() => void)[] = [];
  const server = await startCniServer({
    socketPath: path,
    uid: process.getuid!(),
    answer: () => new Promise((resolve) => calls.push(() => resolve({ exitCode: 0, stdout: 'done\n' }))),
  });
  const running = async (count: number): Promise<void> => {
    while (calls.length < count) await sleep(5);
  };
  return {
    path,
    server,
    running,
    answer: () => {
      for (const call of calls) call();
    },
  };
}

/** A connection that has sent a whole request. @returns its answer */
function call(path: string): Promise<string> {
  const socket = net.connect(path);
  socket.end('CNI_COMMAND=DEL\0\0{}');
  return read(socket);
}

async function read(socket: net.Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await once(socket, 'end');
  return Buffer.concat(parts).toString();
}

test('a server that is closed lets calls that run end, and refuses one that has not said what it wants', {
  timeout: 60_000,
}, async (t) => {
  const { path, server, running, answer } = await start(t);
  const first = call(path);
  await running(1);
  const slow = net.connect({ path, allowHalfOpen: true });
  slow.write('CNI_COMMAND=A');
  await once(slow, 'connect');
  // Connections are taken in their order: whoever has the third has the second.
  const third = call(path);
  await running(2);

  const refused = read(slow);
  const closed = server.close();
  const text = await refused;
  assert.equal(text[0], '1');
  assert.deepEqual(JSON.parse(text.slice(1)), { cniVersion: '1.0.0', code: 11, msg: "podnet's agent is being stopped" });
  answer();
  assert.deepEqual(await Promise.all([first, third]), ['0done\n', '0done\n']);
  await closed;
  assert.equal(existsSync(path), false);
});
