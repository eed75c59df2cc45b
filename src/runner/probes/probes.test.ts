import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Probe } from '../../kube/types.ts';
import { freePort } from '../../testing/free-port.ts';
import { createStandInRuntime } from '../stand-ins/runtime.ts';
import { MemoryLog, specOf } from '../stand-ins/testkit/stand-in-spec.ts';
import { healthRequest, healthStatus } from './grpc.ts';
import { probeHeaders, probeUrl } from './http.ts';
import { portOf, probeOnce } from './probe-once.ts';

const ip = '127.0.0.1';

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, ip);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
const web = (t: TestContext, answer: RequestListener): Promise<number> => listen(t, createServer(answer));
const ask = (probe: Probe) => probeOnce({ timeoutSeconds: 20, ...probe }, { ip, ports: [] });

for (const [status, result, message] of [
  [200, 'success', ''],
  [204, 'success', ''],
  [304, 'success', 'Probe terminated redirects, Response body: '],
  [400, 'failure', 'HTTP probe failed with statuscode: 400'],
  [500, 'failure', 'HTTP probe failed with statuscode: 500'],
] as const) {
  test(`an HTTP probe that is answered with ${status} is a ${result}`, async (t) => {
    const port = await web(t, (_request, response) => response.writeHead(status).end());
    assert.deepEqual(await ask({ httpGet: { port } }), { result, message });
  });
}

test('redirects are followed on the same host, and end on another host with a warning', async (t) => {
  const port = await web(t, ({ url }, response) => {
    if (url === '/a') response.writeHead(302, { location: '/b' }).end();
    else if (url === '/out') response.writeHead(301, { location: 'http://192.0.2.1/' }).end('away');
    else if (url === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else response.writeHead(url === '/b' ? 503 : 200).end();
  });
  assert.equal((await ask({ httpGet: { port, path: '/a' } })).message, 'HTTP probe failed with statuscode: 503');
  assert.deepEqual(await ask({ httpGet: { port, path: '/out' } }), {
    result: 'success',
    message: 'Probe terminated redirects, Response body: away',
  });
  assert.match((await ask({ httpGet: { port, path: '/loop' } })).message, /stopped after 10 redirects/);
});

test('the request is what kubelet sends, with the headers of the probe', async (t) => {
  let seen: Record<string, unknown> = {};
  const port = await web(t, (request, response) => {
    seen = { url: request.url, method: request.method, ...request.headers };
    response.end();
  });
  await ask({
    httpGet: {
      port,
      path: '/health?deep=1',
      httpHeaders: [
        { name: 'Host', value: 'shop.example' },
        { name: 'X-A', value: '1' },
      ],
    },
  });
  assert.deepEqual(seen, {
    url: '/health?deep=1',
    method: 'GET',
    host: 'shop.example',
    'x-a': '1',
    'user-agent': 'kube-probe/1.32',
    accept: '*/*',
    connection: 'close',
  });
  assert.equal(probeHeaders({ port: 1, httpHeaders: [{ name: 'Accept', value: '' }] }).accept, undefined);
  assert.equal(probeUrl({ port: 1, scheme: 'HTTPS', path: 'x' }, 'fd00::1', 8443).href, 'https://[fd00::1]:8443/x');
});

test('a refused connection and one that is never answered are told in the words of Go', async (t) => {
  const closed = freePort();
  const refused = `dial tcp 127.0.0.1:${closed}: connect: connection refused`;
  assert.deepEqual(await ask({ tcpSocket: { port: closed } }), { result: 'failure', message: refused });
  assert.equal((await ask({ httpGet: { port: closed } })).message, `Get "http://127.0.0.1:${closed}/": ${refused}`);
  assert.match((await ask({ grpc: { port: closed } })).message, /failed to connect service at "127.0.0.1:\d+"/);
  const silent = await listen(t, createTcp());
  assert.deepEqual(await ask({ tcpSocket: { port: silent } }), { result: 'success', message: '' });
  const timeoutSeconds = 0.05;
  assert.match(
    (await ask({ httpGet: { port: silent }, timeoutSeconds })).message,
    /context deadline exceeded \(Client.Timeout exceeded/,
  );
  assert.equal((await ask({ grpc: { port: silent }, timeoutSeconds })).message.startsWith('timeout: '), true);
});

test('gRPC: a service that does not serve is unhealthy, a server without health says so', async (t) => {
  const asked: Buffer[] = [];
  const server = createHttp2();
  server.on('stream', (stream, headers) => {
    stream.on('data', (part: Buffer) => asked.push(part));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    assert.equal(headers[':path'], '/grpc.health.v1.Health/Check');
    stream.on('end', () => stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 2])));
  });
  const port = await listen(t, server as unknown as Server);
  assert.equal((await ask({ grpc: { port, service: 'cart' } })).message, 'service unhealthy (responded with "NOT_SERVING")');
  assert.deepEqual(Buffer.concat(asked), Buffer.from('\0\0\0\0\x06\x0a\x04cart', 'latin1'));
  const without = createHttp2();
  without.on('stream', (stream) =>
    stream.respond({ 'content-type': 'application/grpc', 'grpc-status': '12' }, { endStream: true }),
  );
  const other = await listen(t, without as unknown as Server);
  assert.match((await ask({ grpc: { port: other } })).message, /does not implement the grpc health protocol/);
  assert.equal(healthStatus(Buffer.alloc(5)), 'UNKNOWN');
  assert.equal(healthRequest('').length, 5);
  assert.equal(healthRequest('x'.repeat(200)).length, 5 + 3 + 200);
});

test('ports are found by name in the container', () => {
  const ports = [{ name: 'http', containerPort: 8080 }];
  assert.equal(portOf('http', ports), 8080);
  assert.equal(portOf('81', ports), 81);
  assert.throws(() => portOf('metrics', ports), /couldn't find port: "metrics"/);
  assert.throws(() => portOf(0, ports), /invalid port number: 0/);
});

test('a stand-in answers every kind of probe', async (t) => {
  const port = freePort();
  const runtime = createStandInRuntime({ openLog: () => new MemoryLog() });
  const container = await runtime.start(specOf({ ports: [{ containerPort: port, name: 'main' }] }));
  t.after(() => container.stop(0));
  const probes: Probe[] = [
    { httpGet: { port: 'main', path: '/ready' } },
    { httpGet: { port, scheme: 'HTTPS' } },
    { tcpSocket: { port: 'main' } },
    { grpc: { port, service: 'cart' } },
  ];
  for (const family of ['127.0.0.1', '::1']) {
    for (const probe of probes) {
      const answer = await probeOnce(
        { timeoutSeconds: 20, ...probe },
        { ip: family, ports: [{ containerPort: port, name: 'main' }] },
      );
      assert.deepEqual(answer, { result: 'success', message: '' }, JSON.stringify(probe));
    }
  }
});
