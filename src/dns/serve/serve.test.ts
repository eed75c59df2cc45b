import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { localEndpoint } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import type { Metrics } from '../metrics.ts';
import { askUdp, framed, TcpClient } from '../testkit/client.ts';
import { service, slice, TestCluster } from '../testkit/cluster.ts';
import { question, read } from '../testkit/message.ts';
import { openSockets } from './sockets.ts';
import { type TcpLimits, TcpService } from './tcp.ts';
import { UdpService } from './udp.ts';

const loopback = IpAddr.parse('127.0.0.1');
const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
const headless = service('db', { clusterIP: 'None', clusterIPs: ['None'] });
const many = slice(
  'db',
  Array.from({ length: 200 }, (_, i) => ({ ip: `10.244.1.${i}` })),
);
const webName = 'web.default.svc.cluster.local';
const dbName = 'db.default.svc.cluster.local';

interface Served extends AsyncDisposable {
  port: number;
  metrics: Metrics;
}

async function serve(limits: Partial<TcpLimits> = {}): Promise<Served> {
  const cluster = new TestCluster(web, headless, many);
  const { udp, tcp } = openSockets(undefined, loopback, 0);
  const { port } = localEndpoint(udp);
  const parts = [
    new UdpService(udp, cluster.pipeline, cluster.metrics),
    new TcpService(tcp, cluster.pipeline, cluster.metrics, limits),
  ];
  for (const part of parts) part.start();
  const end = async (): Promise<void> => void (await Promise.all(parts.map((part) => part[Symbol.asyncDispose]())));
  return { port, metrics: cluster.metrics, [Symbol.asyncDispose]: end };
}

test('D18: answers that do not fit a datagram are cut with TC, at 512 bytes or what EDNS says up to 1232; TCP has all', async () => {
  await using served = await serve();
  for (const [edns, most] of [[undefined, 512], [100, 512], [800, 800], [4096, 1232]] as const) {
    const { flags, bytes, answers } = await askUdp(served.port, question(dbName, { edns }));
    assert.ok(flags.includes('TC'), `EDNS ${edns}`);
    assert.ok(bytes <= most && bytes > most - 16, `${bytes} bytes of ${most}`);
    assert.ok(answers.length > 0 && answers.length < 200);
  }
  using client = new TcpClient(served.port);
  client.socket.write(framed(question(dbName)));
  const { flags, answers } = await client.next();
  assert.equal(answers.length, 200);
  assert.ok(!flags.includes('TC'));
  assert.equal(served.metrics.truncated, 4);
});

test('a burst of datagrams is answered whole, each with its own id', async () => {
  await using served = await serve();
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    const ids = new Set<number>();
    const all = new Promise<void>((resolve) => {
      socket.on('message', (answer) => {
        ids.add(read(answer).id);
        if (ids.size === 150) resolve();
      });
    });
    for (let id = 0; id < 150; id++) socket.send(question(webName, { id }), served.port, '127.0.0.1');
    await all;
  } finally {
    socket.close();
  }
  assert.equal(served.metrics.queriesUdp, 150);
});

test('D18: garbage, answers and stumps get FORMERR or nothing, and the next question its answer', async () => {
  await using served = await serve();
  const socket = dgram.createSocket('udp4');
  try {
    for (const bad of [Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(3000, 0xff), question(webName, { flags: 0x8000 })])
      socket.send(bad, served.port, '127.0.0.1');
    assert.equal((await askUdp(served.port, question(webName).subarray(0, 20))).rcode, 'FORMERR');
    assert.deepEqual((await askUdp(served.port, question(webName))).answers, [`${webName}. 5 A 10.96.1.1`]);
  } finally {
    socket.close();
  }
});

test('RFC 7766: questions one behind the other on a connection are all answered, in whatever pieces they come', async () => {
  await using served = await serve();
  using client = new TcpClient(served.port);
  client.socket.setNoDelay(true);
  const bytes = Buffer.concat([1, 2, 3].map((id) => framed(question(webName, { id }))));
  // Ends within a length, within a message, and at last at an end.
  for (const [from, to] of [[0, 1], [1, 30], [30, bytes.length - 1], [bytes.length - 1, bytes.length]] as const) {
    client.socket.write(bytes.subarray(from, to));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual([(await client.next()).id, (await client.next()).id, (await client.next()).id], [1, 2, 3]);
});

test('a client that has said all it has to say still gets its answer, then the connection ends', async () => {
  await using served = await serve();
  using client = new TcpClient(served.port);
  client.socket.end(framed(question(webName)));
  assert.equal((await client.next()).rcode, 'NOERROR');
  await client.closed;
});

test('F55: a client that never ends its question is cut off, however it drips', async () => {
  await using served = await serve({ idleMs: 150 });
  using client = new TcpClient(served.port);
  const drip = setInterval(() => client.socket.write(Buffer.of(0x7f)), 20);
  try {
    await client.closed;
  } finally {
    clearInterval(drip);
  }
});

test('F55: a client that asks and never reads does not fill the memory: reading stops, and others are served', async () => {
  await using served = await serve({ unsentBytes: 1 << 16 });
  using greedy = new TcpClient(served.port);
  greedy.socket.pause();
  const big = framed(question(dbName));
  for (let i = 0; i < 20_000; i++) greedy.socket.write(big);
  // Until the server takes no more: no question more is answered from one turn to a later one.
  let before = -1;
  while (before !== served.metrics.queriesTcp || before <= 0) {
    before = served.metrics.queriesTcp;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(before < 20_000, `${before} questions were answered into the void`);
  using other = new TcpClient(served.port);
  other.socket.write(framed(question(webName)));
  assert.equal((await other.next()).rcode, 'NOERROR');
});

test('one client has only its share of connections', async () => {
  await using served = await serve({ connectionsPerClient: 2 });
  using first = new TcpClient(served.port);
  using second = new TcpClient(served.port);
  for (const client of [first, second]) {
    client.socket.write(framed(question(webName)));
    await client.next();
  }
  using third = new TcpClient(served.port);
  await third.closed;
  assert.equal(served.metrics.tcpRefused, 1);
  first.socket.destroy();
  await first.closed;
});

test('F55: connections of clients that say nothing give way to one who asks; one that waits for an answer stays', async () => {
  await using served = await serve({ connections: 20 });
  const silent = Array.from({ length: 20 }, () => new TcpClient(served.port));
  try {
    // Each has asked once, the first one last: it is not the one that has been silent for longest.
    for (const client of [...silent.slice(1), silent[0]!]) {
      client.socket.write(framed(question(webName)));
      await client.next();
    }
    using other = new TcpClient(served.port);
    other.socket.write(framed(question(webName)));
    assert.equal((await other.next()).rcode, 'NOERROR');
    await silent[1]!.closed;
    assert.deepEqual(silent.filter(({ socket }) => socket.destroyed).length, 1);
    silent[0]!.socket.write(framed(question(webName)));
    assert.equal((await silent[0]!.next()).rcode, 'NOERROR');
  } finally {
    for (const client of silent) client[Symbol.dispose]();
  }
});
