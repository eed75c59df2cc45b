import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AnswerError, getJson, serveHttp } from './http.ts';
import { listenForRoot } from './listen.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podnet-test-unix-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('the socket and the folder that was made for it are for their owner alone', async (t) => {
  const path = join(folder(t), 'a', 's.sock');
  await using server = await serveHttp(path, {});
  assert.ok(server);
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(path, '..')).mode & 0o777], [0o600, 0o700]);
});

test('a socket that a killed process left is replaced; one that is answered is not, unless it shall be', async (t) => {
  const path = join(folder(t), 's.sock');
  const left = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.throws(() => execFileSync(process.execPath, ['-e', left], { stdio: 'ignore' }));
  assert.ok(statSync(path).isSocket());
  await using first = await serveHttp(path, { '/who': () => ({ body: ['first'] }) });
  assert.ok(first);
  await assert.rejects(serveHttp(path, {}), /another process answers on .*s\.sock; stop it first/);
  assert.deepEqual(await getJson(path, '/who'), ['first']);
  await using second = await serveHttp(path, { '/who': () => ({ body: ['second'] }) }, { takeOver: true });
  assert.ok(second);
  assert.deepEqual(await getJson(path, '/who'), ['second']);
});

test('whoever took a socket over keeps it when the former owner ends, and takes it away when it ends itself', async (t) => {
  const dir = folder(t);
  const path = join(dir, 's.sock');
  const first = await serveHttp(path, {}, { takeOver: true });
  {
    await using second = await serveHttp(path, { '/who': () => ({ body: ['second'] }) }, { takeOver: true });
    assert.ok(second);
    await first[Symbol.asyncDispose]();
    assert.deepEqual(await getJson(path, '/who'), ['second']);
    assert.equal(statSync(path).mode & 0o777, 0o600);
  }
  assert.deepEqual(readdirSync(dir), []);
});

test('an answer that breaks off, or is no JSON, is an error and not an endless wait', async (t) => {
  const path = join(folder(t), 's.sock');
  const answers = ['HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'];
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.end(answers.shift() ?? ''));
  });
  t.after(() => server.close());
  await listenForRoot(server, path);
  await assert.rejects(getJson(path, '/status'), /s\.sock broke its answer off/);
  await assert.rejects(getJson(path, '/status'), /s\.sock answers what is no JSON: hello/);
});

test('a path that does not fit is refused at once, with its length; the longest that fits is listened on', async (t) => {
  for (const [takeOver, most] of [
    [false, 107],
    [true, 106],
  ] as const) {
    const dir = folder(t);
    const path = (length: number): string => join(dir, 'x'.repeat(length - dir.length - 1));
    const tooLong = new RegExp(`has ${most + 1} bytes and may have ${most}`);
    await assert.rejects(
      listenForRoot(net.createServer(), join(dir, 'made', path(most - 4).slice(dir.length)), { takeOver }),
      tooLong,
    );
    assert.deepEqual(readdirSync(dir), [], 'nothing was made');
    await using server = await serveHttp(path(most), { '/who': () => ({ body: ['longest'] }) }, { takeOver });
    assert.ok(server);
    assert.deepEqual(await getJson(path(most), '/who'), ['longest']);
  }
});

test('what is no socket is never removed', async (t) => {
  const path = join(folder(t), 's.sock');
  writeFileSync(path, 'mine');
  await assert.rejects(listenForRoot(net.createServer(), path), /is in the way and is no socket/);
  assert.equal(statSync(path).size, 4);
});

test('a path that ends with / answers for all below it, and an answer may take its time', async (t) => {
  const path = join(folder(t), 's.sock');
  await using server = await serveHttp(path, {
    '/all': async () => ({ body: ['all'] }),
    '/all/': async (below) => (below === '' ? { code: 404, body: 'which?' } : { body: [below] }),
    '/late': () => Promise.reject(new Error('too late')),
  });
  assert.ok(server);
  assert.deepEqual(await getJson(path, '/all'), ['all']);
  assert.deepEqual(await getJson(path, '/all/a/b%2Fc'), ['a/b/c']);
  await assert.rejects(getJson(path, '/all/'), (error) => error instanceof AnswerError && error.code === 404);
  await assert.rejects(getJson(path, '/late'), /answers 500: too late/);
});

test('an unknown path, a fault and nobody there are told in words', async (t) => {
  const path = join(folder(t), 's.sock');
  {
    await using server = await serveHttp(path, {
      '/status': () => ({ body: {} }),
      '/fault': () => {
        throw new Error('out of order');
      },
    });
    assert.ok(server);
    await assert.rejects(getJson(path, '/x'), /answers 404: ask for one of \/status, \/fault/);
    await assert.rejects(getJson(path, '/fault'), /answers 500: out of order/);
  }
  await assert.rejects(getJson(path, '/status'), /does not answer/);
});
