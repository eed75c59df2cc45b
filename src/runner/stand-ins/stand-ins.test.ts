import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get as httpGet, type IncomingHttpHeaders } from 'node:http';
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { get as httpsGet } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connectTcp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { freePort } from '../../testing/free-port.ts';
import { TestWorld } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import type { ContainerSpec, RunningContainer } from '../container.ts';
import { createStandInRuntime, type StandInOptions } from './runtime.ts';
import { MemoryLog, specOf } from './testkit/stand-in-spec.ts';

interface Started {
  container: RunningContainer;
  port: number;
  log: MemoryLog;
}

async function start(t: TestContext, changes: Partial<ContainerSpec> = {}, options: StandInOptions = {}): Promise<Started> {
  const port = changes.ports?.[0]?.containerPort ?? freePort();
  const log = new MemoryLog();
  const runtime = createStandInRuntime({ openLog: () => log, ...options });
  const container = await runtime.start(specOf({ ports: [{ containerPort: port, name: 'main' }], ...changes }));
  t.after(() => container.stop(0));
  return { container, port, log };
}

interface Answer {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

function fetchText(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const get = url.startsWith('https:') ? httpsGet : httpGet;
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false, rejectUnauthorized: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    }).on('error', reject);
  });
}

/** All that the peer sends until it ends. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => (text += part));
  await once(socket, 'close');
  return text;
}

test('a page tells who answers and whom it sees, over both families', async (t) => {
  const { port, log } = await start(t);
  for (const [host, own] of [
    ['127.0.0.1', '127.0.0.1'],
    ['[::1]', '::1'],
  ] as const) {
    const { status, body } = await fetchText(`http://${host}:${port}/any/path`);
    assert.equal(status, 200);
    assert.match(body, /stand-in/);
    assert.match(body, /^pod: cart-1$/m);
    assert.match(body, /^image: example\/cart:v1$/m);
    const json = JSON.parse((await fetchText(`http://${host}:${port}/x`, { accept: 'application/json' })).body);
    assert.deepEqual(
      [json.namespace, json.node, json.path, json.local, json.client.address],
      ['shop', 'node-1', '/x', { address: own, port }, own],
    );
  }
  assert.equal((await fetchText(`http://127.0.0.1:${port}/hostname`)).body, 'cart-1');
  assert.equal((await fetchText(`http://127.0.0.1:${port}/echo?msg=a%20b`)).body, 'a b');
  assert.match((await fetchText(`http://127.0.0.1:${port}/clientip`)).body, /^127\.0\.0\.1:\d+$/);
  assert.ok(log.lines.some((line) => line.includes(`listening on ${port}/TCP`)));
  assert.ok(log.lines.some((line) => /GET \/any\/path HTTP\/1.1 200/.test(line)));
});

test('a client whose first bytes come one by one is understood', async (t) => {
  const { port } = await start(t);
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  for (const byte of 'GET /hostname HTTP/1.0\r\n\r\n') {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  assert.match(await readAll(socket), /^HTTP\/1.1 200 OK[\s\S]*cart-1$/);
});

test('https is served with a certificate of its own, HTTP/1.1 and HTTP/2 by ALPN', async (t) => {
  const { port } = await start(t);
  assert.equal((await fetchText(`https://127.0.0.1:${port}/hostname`)).body, 'cart-1');
  const answer = await call(`https://127.0.0.1:${port}`, { ':path': '/hostname' });
  assert.equal(answer.body.toString(), 'cart-1');
});

interface Called {
  headers: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  body: Buffer;
}

async function call(origin: string, headers: OutgoingHttpHeaders, body = Buffer.alloc(0)): Promise<Called> {
  const session = connectHttp2(origin, { rejectUnauthorized: false });
  try {
    const stream = session.request(headers);
    let answered: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const parts: Buffer[] = [];
    stream.on('response', (got) => (answered = got));
    stream.on('trailers', (got: IncomingHttpHeaders) => (trailers = got));
    stream.on('data', (part: Buffer) => parts.push(part));
    // A GET is ended from the start.
    if (!stream.writableEnded) stream.end(body);
    await once(stream, 'end');
    return { headers: answered, trailers, body: Buffer.concat(parts) };
  } finally {
    session.destroy();
  }
}

test('gRPC health says SERVING, other methods are unimplemented, with the right trailers', async (t) => {
  const { port } = await start(t);
  const grpc = (path: string): OutgoingHttpHeaders => ({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const health = await call(`http://127.0.0.1:${port}`, grpc('/grpc.health.v1.Health/Check'), Buffer.alloc(5));
  assert.equal(health.headers['content-type'], 'application/grpc');
  assert.deepEqual([...health.body], [0, 0, 0, 0, 2, 8, 1]);
  assert.equal(health.trailers['grpc-status'], '0');
  const other = await call(`http://127.0.0.1:${port}`, grpc('/hipstershop.CartService/GetCart'), Buffer.alloc(5));
  assert.equal(other.headers['grpc-status'], '12');
  assert.match(String(other.headers['grpc-message']), /stand-in/);
});

test('gRPC health watching gets the status at once and stays open', async (t) => {
  const { port } = await start(t);
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Watch',
    'content-type': 'application/grpc',
  });
  stream.end(Buffer.alloc(5));
  const [first] = (await once(stream, 'data')) as [Buffer];
  assert.deepEqual([...first], [0, 0, 0, 0, 2, 8, 1]);
  assert.equal(stream.readableEnded, false);
  session.destroy();
});

test('unknown bytes are answered by who it is and then echoed, and a half-closed connection still gets its answer', async (t) => {
  const { port } = await start(t);
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end('PING\r\n');
  assert.match(await readAll(socket), /^podnet stand-in for example\/cart:v1: pod shop\/cart-1 [^\n]*\nPING\r\n$/);
  const short = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  short.end('GE');
  assert.match(await readAll(short), /^podnet stand-in [^\n]*\nGE$/);
});

test('a client that does not finish its first request is closed; garbage hurts nobody', async (t) => {
  const { port } = await start(t, {}, { times: { firstRequestMs: 30, idleMs: 10_000 } });
  const slow = connect(port, '127.0.0.1');
  slow.write('GET / HTTP/1.1\r\nHost');
  assert.equal(await readAll(slow), '');
  for (const garbage of ['GET \0\0\r\n\r\n', '\x16\x03\x01garbage', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbagegarbagegarbage']) {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.end(Buffer.from(garbage, 'latin1'));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.equal((await fetchText(`http://127.0.0.1:${port}/hostname`)).status, 200);
});

test('UDP answers with who it is and the payload, but not to an answer', async (t) => {
  const port = freePort();
  const { log } = await start(t, { ports: [{ containerPort: port, protocol: 'UDP' }] });
  const client = createSocket('udp4');
  t.after(() => client.close());
  client.send('podnet stand-in for x', port, '127.0.0.1');
  client.send('hello', port, '127.0.0.1');
  const [answer] = (await once(client, 'message')) as [Buffer];
  assert.match(answer.toString(), /^podnet stand-in for example\/cart:v1[^\n]*at 127.0.0.1:\d+[^\n]*\nhello$/);
  assert.equal(log.lines.filter((line) => line.includes('datagram')).length, 1);
});

test('ports that only probes name are listened on; SCTP is left out with a word', async (t) => {
  const [http, grpc] = [freePort(), freePort()];
  const { log } = await start(t, {
    ports: [{ containerPort: 9, protocol: 'SCTP' }],
    probes: [{ httpGet: { port: http, path: '/healthz' } }, { grpc: { port: grpc } }, { exec: { command: ['true'] } }],
  });
  assert.equal((await fetchText(`http://127.0.0.1:${http}/healthz`)).status, 200);
  assert.equal((await fetchText(`http://127.0.0.1:${grpc}/`)).status, 200);
  assert.ok(log.lines.some((line) => line.includes('9/SCTP')));
  assert.ok(log.lines.some((line) => line.includes('exec probes')));
});

test('a port that is taken ends the container as it would end a server', async (t) => {
  const first = await start(t);
  const second = await start(t, { ports: [{ containerPort: first.port }] });
  const { exitCode, reason } = await second.container.exited;
  assert.deepEqual([exitCode, reason], [1, 'Error']);
  assert.ok(second.log.lines.some((line) => line.includes('address already in use')));
});

test('an init container ends at once with 0, and stopping a server ends it with 0 after its drain', async (t) => {
  const init = await start(t, { init: true, command: ['sh', '-c', 'until nslookup db; do sleep 1; done'] });
  assert.deepEqual([(await init.container.exited).exitCode, (await init.container.exited).reason], [0, 'Completed']);
  assert.ok(init.log.lines.some((line) => line.includes('until nslookup db')));
  const { container, port } = await start(t, {}, { drainMs: 60_000 });
  const stopping = container.stop(120_000);
  assert.equal((await fetchText(`http://127.0.0.1:${port}/`)).status, 200);
  await container.stop(0);
  await stopping;
  assert.equal((await container.exited).exitCode, 0);
  await assert.rejects(fetchText(`http://127.0.0.1:${port}/`), { code: 'ECONNREFUSED' });
});

test('attaching shows the log from then on; exec says that there are no programs', async (t) => {
  const { container, port } = await start(t);
  const attached = await container.attach(false);
  await fetchText(`http://127.0.0.1:${port}/seen`);
  const [line] = (await once(attached.stdout!, 'data')) as [Buffer];
  assert.match(line.toString(), /GET \/seen/);
  await assert.rejects(container.exec(['sh'], false), /stand-in for image example\/cart:v1 and has no programs/);
  await container.stop(0);
  assert.deepEqual(await attached.exit, { code: 0 });
});

test('requests beyond the rate are counted in the log, not written', async (t) => {
  const { port, log } = await start(t);
  const written = (): number => log.lines.filter((line) => line.includes('/many')).length;
  let sent = 0;
  // A machine that is slow enough for each to be written gets more of them at once.
  for (let atOnce = 120; written() === sent && atOnce < 2000; atOnce *= 2) {
    sent += atOnce;
    await Promise.all(Array.from({ length: atOnce }, () => fetchText(`http://127.0.0.1:${port}/many`)));
  }
  assert.ok(written() < sent, `${written()} of ${sent}`);
});

test('without another writer the log is a file in the format of CRI', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podnet-stand-ins-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const logPath = join(directory, '0.log');
  const container = await createStandInRuntime().start(specOf({ init: true, logPath }));
  await container.exited;
  const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n');
  for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z stdout F ./);
});

test('sockets are born in the pod: the same port in two pods, seen from inside only', needsRoot, async (t) => {
  using world = new TestWorld('stand-ins');
  const runtime = createStandInRuntime({ openLog: () => new MemoryLog() });
  const port = freePort();
  for (const name of ['a', 'b']) {
    const pod = world.namespace(name);
    const container = await runtime.start(specOf({ netns: pod.path, hostname: name, ports: [{ containerPort: port }] }));
    t.after(() => container.stop(0));
    const socket = await connectTcp(pod.ns, IpAddr.parse('127.0.0.1'), port, { timeoutMs: 5000 });
    socket.write('GET /hostname HTTP/1.0\r\n\r\n');
    assert.match(await readAll(socket), new RegExp(`\r\n\r\n${name}$`));
    await container.stop(0);
  }
  await assert.rejects(fetchText(`http://127.0.0.1:${port}/`), { code: 'ECONNREFUSED' });
});

test('a thousand stand-ins cost little memory', needsRoot, async () => {
  using world = new TestWorld('stand-ins');
  const pod = world.namespace('many');
  const runtime = createStandInRuntime({ openLog: () => new MemoryLog() });
  const before = process.memoryUsage().rss;
  const all: RunningContainer[] = [];
  for (let i = 0; i < 1000; i++) all.push(await runtime.start(specOf({ netns: pod.path, ports: [{ containerPort: 2000 + i }] })));
  const each = (process.memoryUsage().rss - before) / all.length;
  for (const container of all) await container.stop(0);
  // Measured 4.5 KiB; the bound only notices something of another size, such as a thread for each.
  assert.ok(each < 100 * 1024, `${Math.round(each)} bytes for each stand-in`);
});
