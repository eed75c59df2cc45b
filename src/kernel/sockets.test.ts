import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { closeSync, readSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { run, ss } from '../testing/judge.ts';
import { TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { DatagramBatch } from './datagrams.ts';
import { KernelError } from './errors.ts';
import { waitReady } from './readiness.ts';
import { bindUdp, connectTcp, listenTcp, localEndpoint } from './sockets.ts';
import { sys, systemCalls } from './sys.ts';

const at = IpAddr.parse;
const refused = (errno: string) => (error: unknown) => error instanceof KernelError && error.errno === errno;

function pair() {
  const world = new TestWorld('sockets');
  const a = world.namespace('a');
  const b = world.namespace('b');
  world.join(a, ['10.0.0.1/24', '10.0.0.11/24', 'fd00::1/64'], b, ['10.0.0.2/24', 'fd00::2/64']);
  return { a, b, [Symbol.dispose]: () => world[Symbol.dispose]() };
}

for (const [family, client, server, other] of [
  ['ipv4', '10.0.0.1', '10.0.0.2', '10.0.0.11'],
  ['ipv6', 'fd00::1', 'fd00::2', 'fd00::1'],
] as const) {
  test(`${family}: a node server listens and a client connects inside of namespaces`, needsRoot, async () => {
    using world = pair();
    const fd = listenTcp(world.b.ns, at(server), 8080);
    assert.deepEqual({ ...localEndpoint(fd), address: String(localEndpoint(fd).address) }, { address: server, port: 8080 });
    assert.equal(ss(world.b.path, '-tln').length, 1);
    const listener = net.createServer((socket) => socket.end(`you are ${socket.remoteAddress}`));
    listener.listen({ fd });
    await once(listener, 'listening');
    for (const source of [undefined, at(other)]) {
      const socket = await connectTcp(world.a.ns, at(server), 8080, { source, timeoutMs: 5000 });
      // Nothing may be lost between connecting and listening for data.
      await new Promise((resolve) => setTimeout(resolve, 20));
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      assert.equal(text, `you are ${source ?? client}`);
    }
    listener.close();
    await once(listener, 'close');
    await assert.rejects(connectTcp(world.a.ns, at(server), 8080, { timeoutMs: 5000 }), refused('ECONNREFUSED'));
    assert.throws(() => listenTcp(world.b.ns, at(client === 'fd00::1' ? 'fd00::9' : '10.0.0.9'), 80), refused('EADDRNOTAVAIL'));
  });

  test(`${family}: node:dgram and DatagramBatch receive and answer on sockets of a namespace`, needsRoot, async () => {
    using world = pair();
    const wildcard = family === 'ipv4' ? '0.0.0.0' : '::';
    const served = bindUdp(world.b.ns, at(wildcard), 5353, { packetInfo: true, receiveBufferBytes: 4 << 20 });
    const asker = dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
    asker.bind({ fd: bindUdp(world.a.ns, at(client), 4000) });
    const batch = new DatagramBatch({ count: 4, receiveBytes: 8, sendBytes: 16, packetInfo: true });
    assert.equal(batch.receive(served), 0);
    for (const text of ['one', 'two', 'longer than 8', 'four', 'five']) asker.send(text, 5353, server);
    const answers: string[] = [];
    asker.on('message', (data, { address, port }) => answers.push(`${data} from ${address} ${port}`));
    const seen: [string, boolean, string][] = [];
    while (seen.length < 5) {
      await waitReady(served);
      const n = batch.receive(served);
      for (let i = 0; i < n; i++) {
        const text = batch.request.toString('latin1', batch.requestAt(i), batch.requestAt(i) + batch.requestLength(i));
        const { address, port } = batch.sender(i);
        seen.push([text, batch.truncated(i), `${address} ${port}`]);
        if (text !== 'two') batch.push(i, batch.reply.write(`re ${text}`, batch.replyAt(), 'latin1'));
      }
      batch.send(served);
    }
    assert.deepEqual(
      seen.map(([text]) => text),
      ['one', 'two', 'longer t', 'four', 'five'],
    );
    assert.deepEqual(
      seen.map(([, truncated]) => truncated),
      [false, false, true, false, false],
    );
    assert.ok(seen.every(([, , who]) => who === `${client} 4000`));
    while (answers.length < 4) await once(asker, 'message');
    assert.deepEqual(
      answers,
      ['one', 'longer t', 'four', 'five'].map((text) => `re ${text} from ${server} 5353`),
    );
    asker.close();
    closeSync(served);
  });

  test(`${family}: a free bind needs no address, two sockets share a port, and both families keep apart`, needsRoot, () => {
    using world = pair();
    const vip = at(family === 'ipv4' ? '10.96.0.10' : 'fd00:10::a');
    assert.throws(() => bindUdp(world.a.ns, vip, 53), refused('EADDRNOTAVAIL'));
    const fds = [
      bindUdp(world.a.ns, vip, 53, { freebind: true, reusePort: true }),
      bindUdp(world.a.ns, vip, 53, { freebind: true, reusePort: true }),
      listenTcp(world.a.ns, vip, 53, { freebind: true }),
      listenTcp(world.a.ns, vip, 54, { transparent: true }),
      listenTcp(world.a.ns, at('0.0.0.0'), 80),
      listenTcp(world.a.ns, at('::'), 80),
    ];
    assert.throws(() => bindUdp(world.a.ns, vip, 53, { freebind: true }), refused('EADDRINUSE'));
    for (const fd of fds) closeSync(fd);
  });
}

test('connecting gives up after its time, and completes late when the way opens', needsRoot, async () => {
  using world = pair();
  const link = world.a.index('to-b');
  const wrong = Mac.parse('02:00:00:00:00:99');
  world.a.rt.replaceNeighbour({ link, address: at('10.0.0.2'), mac: wrong });
  await assert.rejects(connectTcp(world.a.ns, at('10.0.0.2'), 80, { timeoutMs: 50 }), refused('ETIMEDOUT'));
  const listener = net.createServer((socket) => socket.end());
  listener.listen({ fd: listenTcp(world.b.ns, at('10.0.0.2'), 80) });
  const connecting = connectTcp(world.a.ns, at('10.0.0.2'), 80, { timeoutMs: 20_000 });
  const early = await Promise.race([connecting, new Promise((resolve) => setTimeout(resolve, 100, 'not yet'))]);
  assert.equal(early, 'not yet');
  const mac = world.b.rt.link('to-a')!.mac!;
  world.a.rt.replaceNeighbour({ link, address: at('10.0.0.2'), mac });
  const socket = await connecting;
  socket.destroy();
  listener.close();
  await assert.rejects(connectTcp(world.a.ns, at('192.0.2.1'), 80, { timeoutMs: 1000 }), refused('ENETUNREACH'));
});

test('an ICMP error that comes before connecting has returned is told at once, not after the second SYN', needsRoot, async () => {
  using world = pair();
  const hook = 'add table inet t; add chain inet t o { type filter hook output priority 0; };';
  run(world.a.path, 'nft', `${hook} add rule inet t o tcp dport 81 counter reject`);
  for (const address of ['10.0.0.2', 'fd00::2'])
    await assert.rejects(connectTcp(world.a.ns, at(address), 81, { timeoutMs: 20_000 }), refused('ECONNREFUSED'));
  assert.match(run(world.a.path, 'nft', 'list', 'chain', 'inet', 't', 'o'), /counter packets 2 /);
});

test('readiness is waited for on any descriptor without reading from it', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const pidfd = Number(sys.syscall(systemCalls.pidfd_open, child.pid!, 0, 0, 0, 0));
  assert.ok(pidfd > 0);
  const abort = new AbortController();
  const first = waitReady(pidfd, 'readable', abort.signal);
  abort.abort();
  assert.equal(await first, false);
  const ended = waitReady(pidfd);
  child.stdin.end();
  assert.equal(await ended, true);
  closeSync(pidfd);

  const eventfd = sys.eventfd(0, 0);
  assert.equal(await waitReady(eventfd, 'writable'), true);
  const readable = waitReady(eventfd);
  sys.write(eventfd, Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]), 8);
  assert.equal(await readable, true);
  const value = Buffer.alloc(8);
  readSync(eventfd, value);
  assert.equal(value.readBigUInt64LE(0), 7n);
  closeSync(eventfd);
});
