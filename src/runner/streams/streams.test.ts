import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { httpGet } from '../../testing/http.ts';
import { StreamError } from './backend.ts';
import { parseLogOptions, parseRequest, parseStreams } from './requests.ts';
import { attachStreams } from './server.ts';
import { sizeParser } from './session.ts';
import { controlFrame, dataFrame, FrameReader, frameTypes } from './spdy/frames.ts';
import { processBackend } from './testkit/process-backend.ts';
import { connectSpdy } from './testkit/spdy-client.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-streams-'));
const socketPath = path.join(directory, 'runner.sock');
const backend = processBackend();
const server = http.createServer();
attachStreams(server, backend);
before(async () => {
  server.listen(socketPath);
  await once(server, 'listening');
});
after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true });
});
const limit = { timeout: 20_000 };
const command = (...words: string[]): string => words.map((word) => `command=${encodeURIComponent(word)}`).join('&');
const none = async (): Promise<void> => {
  while (backend.running.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
};

const get = (url: string): Promise<{ code: number; body: string }> => httpGet(socketPath, url);

/** A WebSocket and the text of each channel so far. */
async function webSocket(url: string, protocols: string[]) {
  const socket = new WebSocket(`ws+unix://${socketPath}:${url}`, protocols);
  const channels = new Map<number, string>();
  const base64 = (): boolean => socket.protocol.includes('base64');
  socket.on('message', (data: Buffer) => {
    const channel = base64() ? data[0]! - 0x30 : data[0]!;
    const body = base64() ? Buffer.from(data.subarray(1).toString(), 'base64') : data.subarray(1);
    channels.set(channel, (channels.get(channel) ?? '') + body.toString());
  });
  const closed = once(socket, 'close');
  await once(socket, 'open');
  const send = (channel: number, text: string): void =>
    socket.send(
      base64() ? `${channel}${Buffer.from(text).toString('base64')}` : Buffer.concat([Buffer.from([channel]), Buffer.from(text)]),
    );
  return { socket, channels, closed, send };
}

test('paths and queries are read as kubelet reads them, and what is wrong is named', () => {
  assert.equal(parseRequest('/healthz'), undefined);
  assert.deepEqual(parseRequest('/containerLogs/a/b/c%2Fd')?.ref, { namespace: 'a', pod: 'b', container: 'c/d' });
  assert.throws(() => parseRequest('/exec/a/b'), /expected \/exec\/<namespace>\/<pod>\/<container>, got \/exec\/a\/b/);
  assert.throws(() => parseRequest('/portForward/a//'), StreamError);
  assert.throws(() => parseRequest('/exec/a/b/%zz'), StreamError);
  const streams = (query: string) => parseStreams(new URLSearchParams(query));
  assert.deepEqual(streams('stdin=true&stdout&stderr=0'), { stdin: true, stdout: true, stderr: false, tty: false });
  assert.deepEqual(streams('input=1&output=1&error=1&tty=1'), { stdin: true, stdout: true, stderr: false, tty: true });
  assert.throws(() => streams('stdin=false&stderr=1&tty=true'), /at least 1 of stdin, stdout, stderr/);
  const logs = (query: string) => parseLogOptions(new URLSearchParams(query));
  assert.deepEqual(logs('sinceTime=2026-01-02T03:04:05Z').sinceTime, new Date('2026-01-02T03:04:05Z'));
  assert.equal(logs('tailLines=-1').tailLines, undefined);
  assert.equal(logs('tailLines=0').tailLines, 0);
  for (const bad of [
    'tailLines=-2',
    'tailLines=x',
    'limitBytes=0',
    'sinceSeconds=0',
    'sinceTime=soon',
    'sinceSeconds=1&sinceTime=2026-01-02T03:04:05Z',
  ])
    assert.throws(() => logs(bad), StreamError, bad);
});

test('logs are text; errors have their code and words; other paths do not exist', limit, async () => {
  assert.deepEqual(await get('/containerLogs/default/a/web'), { code: 200, body: 'one\ntwo\n' });
  assert.deepEqual(await get('/containerLogs/default/a/web?limitBytes=5'), { code: 200, body: 'one\nt' });
  assert.deepEqual(await get('/containerLogs/default/a/db'), { code: 404, body: 'container not found ("db")' });
  assert.equal((await get('/containerLogs/default/a/web?tailLines=x')).code, 400);
  assert.deepEqual(await get('/exec/default/a/web?command=true&stdout=1'), { code: 400, body: 'Upgrade request required' });
  assert.equal((await get('/pods')).code, 404);
});

test('a followed log that is quiet connects at once and is let go with the client', limit, async () => {
  const log = new PassThrough();
  const { logs } = backend;
  backend.logs = async () => log;
  const request = http.get({ socketPath, path: '/containerLogs/default/a/web?follow=true' });
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  assert.equal(answer.statusCode, 200);
  backend.logs = logs;
  log.write('late\n');
  assert.equal(String((await once(answer, 'data'))[0]), 'late\n');
  request.destroy();
  await once(log, 'close');
});

test('WebSocket v5: outputs apart, end of input by CLOSE, exit code as a Status', limit, async () => {
  const url = `/exec/default/a/web?${command('sh', '-c', 'cat; echo oops >&2; exit 9')}&stdin=1&stdout=1&stderr=1`;
  const { socket, channels, closed, send } = await webSocket(url, ['v5.channel.k8s.io', 'v4.channel.k8s.io']);
  assert.equal(socket.protocol, 'v5.channel.k8s.io');
  send(0, 'hello');
  socket.send(Buffer.from([255, 0]));
  assert.equal((await closed)[0], 1000);
  assert.deepEqual([channels.get(1), channels.get(2)], ['hello', 'oops\n']);
  const status = JSON.parse(channels.get(3)!);
  assert.equal(status.reason, 'NonZeroExitCode');
  assert.deepEqual(status.details.causes, [{ reason: 'ExitCode', message: '9' }]);
});

test('older WebSocket protocols: base64 text, and plain messages for errors', limit, async () => {
  const base64 = await webSocket(`/exec/default/a/web?${command('head', '-c', '3')}&stdin=1&stdout=1`, [
    'v4.base64.channel.k8s.io',
  ]);
  base64.send(0, 'ä€');
  await base64.closed;
  assert.equal(JSON.parse(base64.channels.get(3)!).status, 'Success');
  assert.ok(base64.channels.get(1)!.startsWith('ä'));
  const plain = await webSocket(`/exec/default/a/web?${command('sh', '-c', 'exit 2')}&stdout=1`, ['channel.k8s.io']);
  await plain.closed;
  assert.equal(plain.channels.get(3), 'command terminated with non-zero exit code: exit status 2');
  const unnamed = await webSocket(`/exec/default/a/web?${command('echo', 'hi')}&stdout=1`, []);
  await unnamed.closed;
  assert.equal(unnamed.channels.get(1), 'hi\n');
  assert.equal(unnamed.channels.get(3), undefined);
});

test('a protocol that nobody knows is refused before anything runs', limit, async () => {
  const socket = new WebSocket(`ws+unix://${socketPath}:/exec/default/a/web?${command('sleep', '60')}&stdout=1`, [
    'v9.channel.k8s.io',
  ]);
  const [error] = (await once(socket, 'error')) as [Error];
  assert.match(error.message, /400/);
  await assert.rejects(
    connectSpdy(socketPath, `/exec/default/a/web?${command('sleep', '60')}&stdout=1`, ['v9.channel.k8s.io']),
    /403 unable to negotiate/,
  );
  await assert.rejects(
    connectSpdy(socketPath, '/exec/default/a/web?stdout=1', ['v4.channel.k8s.io']),
    /400 you must specify a command/,
  );
  await assert.rejects(
    connectSpdy(socketPath, '/exec/default/a/db?command=a&stdout=1', ['v4.channel.k8s.io']),
    /404 container not found/,
  );
  await assert.rejects(connectSpdy(socketPath, '/elsewhere', ['v4.channel.k8s.io']), /404/);
  assert.equal(backend.running.size, 0);
});

test('sizes of the terminal reach the process, whole or in pieces, and nonsense does not', limit, async () => {
  backend.sizes.length = 0;
  const { socket, send, closed } = await webSocket(`/exec/default/a/web?${command('cat')}&stdin=1&stdout=1&tty=1`, [
    'v5.channel.k8s.io',
  ]);
  send(4, '{"Width":80,"Height":24}');
  send(4, '{"Width":1');
  send(4, '20,"Height":40}\n{"Width":-1,"Height":9}{"Width":70000,"Height":1}{x}');
  socket.send(Buffer.from([255, 0]));
  await closed;
  assert.deepEqual(backend.sizes, [
    [80, 24],
    [120, 40],
  ]);
  const parse = sizeParser(() => assert.fail('no size'));
  parse(Buffer.alloc(100_000, '{'));
});

test('SPDY: streams, ping, reset of what nobody asked for, exit code', limit, async () => {
  const url = `/exec/default/a/web?${command('sh', '-c', 'cat; exit 4')}&stdin=1&stdout=1&stderr=1`;
  const { client, protocol } = await connectSpdy(socketPath, url, [
    'v5.channel.k8s.io',
    'v3.channel.k8s.io',
    'v4.channel.k8s.io',
  ]);
  assert.equal(protocol, 'v4.channel.k8s.io');
  const unknown = await client.open({ streamtype: 'music' });
  const ids = new Map<string, number>();
  for (const type of ['error', 'stdin', 'stdout', 'stderr']) ids.set(type, await client.open({ streamType: type }));
  client.transport.write(controlFrame(frameTypes.ping, 0, 77));
  client.send(ids.get('stdin')!, 'abc');
  client.send(ids.get('stdin')!, '', true);
  await client.until(() => client.streams.get(ids.get('error')!)!.ended);
  assert.equal(client.text(ids.get('stdout')!), 'abc');
  assert.ok(client.streams.get(ids.get('stdout')!)!.ended && client.streams.get(ids.get('stderr')!)!.ended);
  assert.equal(JSON.parse(client.text(ids.get('error')!)).details.causes[0].message, '4');
  assert.equal(client.streams.get(unknown)!.reset, 5);
  assert.equal(client.pings[0]!.readUInt32BE(0), 77);
  client.transport.destroy();
});

test('a client that sends to a process that does not read is stopped by TCP, not by memory', limit, async () => {
  const { client } = await connectSpdy(socketPath, `/exec/default/a/web?${command('sleep', '60')}&stdin=1&stdout=1`, [
    'v4.channel.k8s.io',
  ]);
  const stdin = await (async () => {
    await client.open({ streamtype: 'error' });
    await client.open({ streamtype: 'stdout' });
    return client.open({ streamtype: 'stdin' });
  })();
  const block = Buffer.alloc(256 * 1024);
  let queued = 0;
  while (queued < 64 * 1024 * 1024) {
    queued += block.length;
    if (client.send(stdin, block)) continue;
    const drained = once(client.transport, 'drain').then(() => true);
    const patience = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500));
    if (!(await Promise.race([drained, patience]))) break;
  }
  assert.ok(queued < 8 * 1024 * 1024, `the server took ${queued} bytes`);
  const [pid] = backend.running;
  process.kill(pid!, 'SIGKILL');
  client.transport.destroy();
  await none();
});

test('a client that still sends input when the process has ended is let go at once', limit, async () => {
  const { socket, closed } = await webSocket(`/exec/default/a/web?${command('true')}&stdin=1&stdout=1`, ['v5.channel.k8s.io']);
  for (let count = 0; count < 64; count++) socket.send(Buffer.alloc(64 * 1024));
  assert.equal((await closed)[0], 1000);
});

test('a client that goes without opening its streams leaves no process', limit, async () => {
  const { client } = await connectSpdy(socketPath, `/exec/default/a/web?${command('sleep', '60')}&stdout=1`, [
    'v4.channel.k8s.io',
  ]);
  await client.open({ streamtype: 'error' });
  assert.equal(backend.running.size, 1);
  client.transport.destroy();
  await none();
  const ws = await webSocket(`/exec/default/a/web?${command('sleep', '60')}&stdout=1`, ['v5.channel.k8s.io']);
  assert.equal(backend.running.size, 1);
  ws.socket.terminate();
  await none();
});

test('forwarded connections: a pair of streams each, errors on the error stream', limit, async () => {
  const { client, protocol } = await connectSpdy(socketPath, '/portForward/default/a', ['portforward.k8s.io']);
  assert.equal(protocol, 'portforward.k8s.io');
  const pair = async (port: string, id: string) => {
    const error = await client.open({ streamtype: 'error', port, requestid: id }, true);
    return { error, data: await client.open({ streamtype: 'data', port, requestid: id }) };
  };
  const bad = await pair('70000', '0');
  await client.until(() => client.streams.get(bad.error)!.ended);
  assert.equal(client.text(bad.error), 'error forwarding port 70000 to pod a: "70000" is no port');
  const echo = http.createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  const good = await pair(String((echo.address() as { port: number }).port), '1');
  client.send(good.data, 'GET / HTTP/1.0\r\n\r\n');
  await client.until(() => client.streams.get(good.data)!.ended);
  assert.match(client.text(good.data), /^HTTP\/1\.1 200 OK[\s\S]*hello$/);
  client.send(good.data, '', true);
  await client.until(() => client.streams.get(good.error)!.ended);
  assert.equal(client.text(good.error), '');
  echo.close();
  client.transport.destroy();
});

test('garbage on an upgraded connection ends that connection and nothing else', limit, async () => {
  for (const garbage of [
    Buffer.alloc(64, 0xff),
    controlFrame(frameTypes.synStream, 0, 1, 0, Buffer.alloc(40, 7)),
    controlFrame(frameTypes.rstStream, 0),
  ]) {
    const { client } = await connectSpdy(socketPath, '/portForward/default/a', ['portforward.k8s.io']);
    client.transport.write(garbage);
    await once(client.transport, 'close');
  }
  assert.equal((await get('/containerLogs/default/a/web')).code, 200);
});

test('frames are the same however the bytes are cut', () => {
  const frames = [
    dataFrame(5, Buffer.from('hello'), false),
    controlFrame(frameTypes.ping, 0, 9),
    dataFrame(5, Buffer.alloc(0), true),
    dataFrame(7, Buffer.alloc(300, 1), true),
  ];
  const bytes = Buffer.concat(frames);
  /** What each stream gets, and the control frames, whatever the pieces were. */
  const read = (cuts: number[]): unknown => {
    const reader = new FrameReader();
    const streams: Record<number, string> = {};
    const control: string[] = [];
    let start = 0;
    for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
      for (const frame of reader.feed(bytes.subarray(start, cut)))
        if (frame.kind === 'control') control.push(`${frame.type} ${frame.body.toString('hex')}`);
        else streams[frame.stream] = `${streams[frame.stream] ?? ''}${frame.data.toString('latin1')}${frame.fin ? '<end>' : ''}`;
      start = cut;
    }
    return { streams, control };
  };
  const expected = { streams: { 5: 'hello<end>', 7: `${'\x01'.repeat(300)}<end>` }, control: ['6 00000009'] };
  const cuts = fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 });
  fc.assert(fc.property(cuts, (places) => assert.deepEqual(read(places), expected)));
});

test('a backend that fails late is an internal error, not a crash', limit, async () => {
  const { exec } = backend;
  backend.exec = async () => ({
    stdout: Readable.from([Buffer.from('x')]),
    exit: Promise.reject(new Error('the shim has gone')),
    kill: () => {},
  });
  const { channels, closed } = await webSocket('/exec/default/a/web?command=a&stdout=1', ['v5.channel.k8s.io']);
  await closed;
  backend.exec = exec;
  assert.match(JSON.parse(channels.get(3)!).message, /the shim has gone/);
});
