import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeApi } from '../../kube/fake.ts';
import { ConfigMaps, Namespaces, Services } from '../../kube/resources.ts';
import { bindUdp } from '../../kernel/sockets.ts';
import { IpAddr } from '../../net/ip.ts';
import { freePort } from '../../testing/free-port.ts';
import { needsRoot } from '../../testing/root.ts';
import type { DnsConfig } from '../config.ts';
import { askUdp, framed, TcpClient } from '../testkit/client.ts';
import { namespace, service } from '../testkit/cluster.ts';
import { Load, type LoadCount } from '../testkit/load.ts';
import { answer, question } from '../testkit/message.ts';
import { DnsProcesses } from '../testkit/processes.ts';
import { TestUpstream } from '../testkit/upstream.ts';

const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
/** What is in the ConfigMap. */
const byHand = 'hosts: {entries: [{address: 192.0.2.9, names: [by.hand.example]}]}';
const webName = 'web.default.svc.cluster.local';
/** What a worker takes from a socket before it answers. */
const inHands = 64;

async function processes(config: Partial<DnsConfig> = {}): Promise<DnsProcesses> {
  const api = new FakeApi();
  await api.create(ConfigMaps, { metadata: { name: 'podnet-dns', namespace: 'kube-system' }, data: { 'podnet-dns.yaml': byHand } });
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, web);
  const all = new DnsProcesses(api, '127.0.0.1', freePort(), config);
  await all.serveApi();
  return all;
}

const told = (what: string, { sent, lost, slowestMs }: LoadCount): string => `${what}: ${lost} of ${sent} lost, slowest answer after ${slowestMs} ms`;

test('F3: workers killed, stopped and replaced, parents killed and replaced, under 4,000 questions a second: none is refused, and lost are those in the hands of a killed worker', async (t: TestContext) => {
  await using dns = await processes();
  let parent = dns.start();
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  let { process: now } = await dns.complete();
  await using load = await Load.start(dns.address, dns.port, webName, 4000);
  const judge = async (what: string, most: number): Promise<void> => {
    await sleep(200);
    const count = await load.take();
    t.diagnostic(told(what, count));
    assert.ok(count.sent > 50, told(what, count));
    assert.deepEqual({ refused: count.refused, wrong: count.wrong }, { refused: 0, wrong: 0 }, `${what}; said: ${dns.said}`);
    assert.ok(count.lost <= most, told(what, count));
  };
  await judge('nothing happens', 0);

  process.kill(now.pid, 'SIGKILL');
  await judge('the worker that answers is killed', inHands);
  ({ process: now } = await dns.complete());

  process.kill(now.pid, 'SIGSTOP');
  const stopped = now.pid;
  const stoppedAt = performance.now();
  ({ process: now } = await dns.until(({ process: { pid } }) => pid !== stopped));
  process.kill(stopped, 'SIGCONT');
  const isShort = performance.now() - stoppedAt < 2500;
  await judge('the worker that answers hangs and comes back', 0);
  // Where this process is not given the processor for long, it may have hung too long (roles.test.ts).
  if (isShort) assert.ok(dns.pids.includes(stopped), 'it was not killed');

  process.kill(now.pid, 'SIGTERM');
  await judge('the worker that answers is told to end', 0);
  await dns.complete();

  const successor = dns.start();
  assert.deepEqual(await once(parent, 'exit'), [0, null], 'the former parent ends by itself');
  await judge('another parent takes over', 0);
  parent = successor;
  ({ process: now } = await dns.complete(parent.pid));

  parent.kill('SIGKILL');
  await dns.until(({ process: { parent: of } }) => of === undefined);
  await judge('the parent is killed', 0);
  parent = dns.start();
  ({ process: now } = await dns.complete(parent.pid));
  await judge('a new parent takes over from the workers', 0);

  parent.kill('SIGHUP');
  assert.deepEqual(await once(parent, 'exit'), [0, null]);
  process.kill(now.pid, 'SIGKILL');
  await judge('the parent leaves, and the worker that answers is killed', inHands);
  parent = dns.start();
  await dns.complete(parent.pid);
  await judge('a new parent takes over from the worker that is left', 0);

  parent.kill('SIGTERM');
  await once(parent, 'exit');
  assert.deepEqual(dns.pids, [], 'all have ended with the parent');
  // One that was killed while it wrote leaves a part, which the next one that writes writes over.
  assert.deepEqual(
    readdirSync(dns.runDir).filter((name) => name !== 'names~'),
    ['names'],
  );
});

test('the standby gives way on a processor that it shares with the worker that answers, and comes first when it has to answer, also without a parent', needsRoot, async () => {
  await using dns = await processes();
  const parent = dns.start();
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  const usual = os.getPriority();
  const standing = ({ pid, standby }: { pid: number; standby?: number }) => [os.getPriority(pid), os.getPriority(standby)].map((priority) => priority - usual);
  const { process: first } = await dns.complete();
  assert.deepEqual(standing(first), [0, 10]);
  process.kill(first.pid, 'SIGKILL');
  const { process: second } = await dns.complete();
  assert.equal(second.pid, first.standby);
  assert.deepEqual(standing(second), [0, 10]);
  const threads = readdirSync(`/proc/${second.pid}/task`).map((tid) => os.getPriority(Number(tid)) - usual);
  assert.deepEqual(new Set(threads), new Set([0]), 'all threads');
  parent.kill('SIGKILL');
  process.kill(second.pid, 'SIGKILL');
  const { process: last } = await dns.until(({ process: { pid } }) => pid === second.standby);
  assert.equal(os.getPriority(last.pid), usual);
});

test('a worker that hangs without end is killed, and another one is the standby', async () => {
  await using dns = await processes();
  dns.start();
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  const { process: before } = await dns.complete();
  process.kill(before.pid, 'SIGSTOP');
  const { process: after } = await dns.until(({ process: { pid, standby } }) => pid === before.standby && standby !== before.pid && standby !== undefined);
  assert.ok(!dns.pids.includes(before.pid));
  assert.match(dns.said, new RegExp(`worker ${before.pid} is killed: it gave no sign of life for 3 s`));
  assert.ok(dns.pids.includes(after.standby!));
});

test('D16, F57: workers that start while the API server is away answer what those before them knew, never SERVFAIL', async () => {
  await using dns = await processes({ custom: { configMap: 'kube-system/podnet-dns' } });
  dns.start();
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  let { process: now } = await dns.complete();
  await dns.endApi();
  const ask = async (): Promise<string[]> => (await askUdp(dns.port, question(webName))).answers;
  // The second kill is of one that has started without the API server.
  for (let round = 0; round < 2; round++) {
    process.kill(now.pid, 'SIGKILL');
    assert.deepEqual(await ask(), [`${webName}. 5 A 10.96.1.1`]);
    ({ process: now } = await dns.complete());
    assert.deepEqual(await ask(), [`${webName}. 5 A 10.96.1.1`]);
  }
  assert.match(now.names, /^what another process knew, \d+ s before this one began$/);
  assert.equal((await askUdp(dns.port, question('no.default.svc.cluster.local'))).rcode, 'NXDOMAIN');
  assert.match((await askUdp(dns.port, question('by.hand.example'))).answers.join(), /A 192\.0\.2\.9$/);
  // What all of them left is enough, too.
  for (const pid of dns.pids) process.kill(pid, 'SIGKILL');
  dns.start();
  await dns.until(({ ready }) => ready);
  assert.deepEqual(await ask(), [`${webName}. 5 A 10.96.1.1`]);
});

test('RFC 8767: a worker that is killed while the resolvers are dead leaves what they have said to the one that goes on, and to the parent after all of them', async () => {
  const upstream = await TestUpstream.listen((request, { name }) => answer(request, { answers: [{ name, type: 'A', ttl: 600, data: '192.0.2.7' }] }));
  await using dns = await processes({ upstream: { servers: [upstream.server] } });
  dns.start();
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  const { process: now } = await dns.complete();
  const ask = async (): Promise<string> => (await askUdp(dns.port, question('www.example.com'))).answers.join().replace(/ \d+ /, ' ');
  for (let i = 0; i < 3; i++) assert.equal(await ask(), 'www.example.com. A 192.0.2.7');
  const { process: last } = await dns.until(() => existsSync(join(dns.runDir, 'answers')) && readFileSync(join(dns.runDir, 'answers'), 'utf8').endsWith('\n1\n'));
  await upstream[Symbol.asyncDispose]();
  // The standby looks every two seconds; it is not to be asked how far it is.
  await sleep(5000);
  process.kill(now.pid, 'SIGKILL');
  await dns.until(({ process: { pid } }) => pid === last.standby);
  assert.equal(await ask(), 'www.example.com. A 192.0.2.7');
  for (const pid of dns.pids) process.kill(pid, 'SIGKILL');
  dns.start();
  await dns.until(({ ready, cache }) => ready && cache?.entries === 1);
  assert.equal(await ask(), 'www.example.com. A 192.0.2.7');
});

test('TCP: connections that have asked get their answers when another parent takes over, and new ones are accepted at any time', async () => {
  await using dns = await processes();
  const parent = dns.start({ standby: false });
  await dns.until(({ ready }) => ready);
  dns.findSocket();
  using client = new TcpClient(dns.port);
  client.socket.write(framed(question(webName)));
  assert.equal((await client.next()).rcode, 'NOERROR');
  dns.start({ standby: false });
  const exited = once(parent, 'exit');
  let asked = 0;
  for (let over = false; !over; asked++) {
    over = parent.exitCode !== null;
    using one = new TcpClient(dns.port);
    one.socket.write(framed(question(webName)));
    assert.equal((await one.next()).rcode, 'NOERROR');
  }
  assert.deepEqual(await exited, [0, null]);
  assert.ok(asked > 5);
  await client.closed;
});

test('a wrong configuration ends the parent with what is wrong, and no socket is left', async () => {
  await using dns = await processes();
  const refused = dns.start({ port: -1 });
  assert.equal((await once(refused, 'exit'))[0], 2);
  assert.match(dns.said, /^podnet: dns configuration: port must be 0 to 65535, not -1\n$/);
  const failed = dns.start({ kubeconfig: '/nonexistent' });
  assert.equal((await once(failed, 'exit'))[0], 1);
  assert.match(dns.said, /^podnet: cannot read the kubeconfig \/nonexistent: ENOENT.*\n$/m);
  assert.deepEqual(readdirSync(dns.runDir), []);
  const taken = bindUdp(undefined, IpAddr.parse(dns.address), dns.port);
  dns.said = '';
  const late = dns.start();
  assert.equal((await once(late, 'exit'))[0], 3);
  assert.match(dns.said, new RegExp(`^podnet: bind UDP ${dns.address}:${dns.port}: EADDRINUSE: something listens there already\n  Fix: `));
  closeSync(taken);
});
