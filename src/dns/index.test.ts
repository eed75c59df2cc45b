import assert from 'node:assert/strict';
import { test } from 'node:test';
import { existsSync } from 'node:fs';
import { FakeServer } from '../kube/fake-server.ts';
import { FakeApi } from '../kube/fake.ts';
import { EndpointSlices, Namespaces, Pods, Services } from '../kube/resources.ts';
import { KernelError } from '../kernel/errors.ts';
import { KubeClient } from '../kube/client.ts';
import { Prefix } from '../net/prefix.ts';
import { needsRoot } from '../testing/root.ts';
import { run } from '../testing/judge.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import type { DnsConfig } from './config.ts';
import { type DnsServer, startDns } from './index.ts';
import { askUdp } from './testkit/client.ts';
import { namespace, service, slice } from './testkit/cluster.ts';
import { dig, needsDig } from './testkit/dig.ts';
import { answer, question, type Read } from './testkit/message.ts';
import { TestUpstream } from './testkit/upstream.ts';
import { httpGet } from '../testing/http.ts';

const base: DnsConfig = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'] };
const web = service('web', {
  clusterIP: '10.96.1.1',
  clusterIPs: ['10.96.1.1', 'fd00:10:96::1'],
  ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
});
const headless = service('db', { clusterIP: 'None', clusterIPs: ['None'] });
const webName = 'web.default.svc.cluster.local';
const dbName = 'db.default.svc.cluster.local';
const quiet = (): void => {};

const portOf = (dns: DnsServer): number => Number(/\d+$/.exec(dns.status().listen[0]!)![0]);

/** Until the answer is as wanted; a change takes its way through the watch. */
async function until<T>(look: () => Promise<T>, wanted: (seen: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const seen = await look();
    if (wanted(seen)) return seen;
    if (tries === 500) assert.fail(`still ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function cluster(): Promise<FakeApi> {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, web);
  await api.create(Services, headless);
  return api;
}

test('answers follow the objects: endpoints come and go, Services are deleted', async () => {
  const api = await cluster();
  await using dns = await startDns(base, { api, log: quiet });
  await dns.ready;
  const ask = (name: string): Promise<Read> => askUdp(portOf(dns), question(name));
  assert.deepEqual((await ask(webName)).answers, [`${webName}. 5 A 10.96.1.1`]);
  assert.equal((await ask(dbName)).rcode, 'NXDOMAIN', 'D5');
  const made = await api.create(EndpointSlices, slice('db', [{ ip: '10.244.1.1', ready: true }]));
  await until(() => ask(dbName), ({ answers }) => answers[0] === `${dbName}. 5 A 10.244.1.1`);
  await api.update(EndpointSlices, { ...made, endpoints: [{ addresses: ['10.244.1.1'], conditions: { ready: false } }] });
  await until(() => ask(dbName), ({ rcode }) => rcode === 'NXDOMAIN');
  await api.delete(Services, 'web', 'default');
  await until(() => ask(webName), ({ rcode }) => rcode === 'NXDOMAIN');
});

test('D16: SERVFAIL, never NXDOMAIN, until the API server has told everything; when it is away again, the answers stay', async () => {
  const api = await cluster();
  const health = `/tmp/podnet-test-dns-${process.pid}-health.sock`;
  const server = await FakeServer.listen(api);
  const { url } = server;
  // Nobody is there yet.
  const away = new KubeClient({ server: 'http://127.0.0.1:9' });
  {
    await using dns = await startDns({ ...base, healthSocket: health }, { api: away, log: quiet });
    await until(async () => dns.status().sources, (sources) => sources.every(({ error }) => error !== undefined));
    assert.equal((await askUdp(portOf(dns), question('no.such.svc.cluster.local'))).rcode, 'SERVFAIL');
    assert.equal((await httpGet(health, '/ready')).code, 503);
    assert.equal((await httpGet(health, '/health')).code, 200);
  }
  assert.equal(existsSync(health), false, 'close takes the socket away');
  away[Symbol.dispose]();
  using client = new KubeClient({ server: url });
  await using dns = await startDns({ ...base, healthSocket: health }, { api: client, log: quiet });
  await dns.ready;
  assert.deepEqual(await httpGet(health, '/ready'), { code: 200, body: 'ok\n' });
  await server[Symbol.asyncDispose]();
  const { sources } = await until(
    async () => JSON.parse((await httpGet(health, '/status')).body) as ReturnType<DnsServer['status']>,
    (status) => status.sources.every(({ error }) => error !== undefined),
  );
  assert.deepEqual(sources.map(({ kind, synced, objects }) => `${kind} ${synced} ${objects}`).sort(), [
    'EndpointSlice true 0',
    'Namespace true 1',
    'Pod true 0',
    'Service true 2',
  ]);
  assert.deepEqual((await askUdp(portOf(dns), question(webName))).answers, [`${webName}. 5 A 10.96.1.1`]);
  assert.equal((await httpGet(health, '/ready')).code, 200, 'it still serves');
});

test('D12, D15: answers and absences hold as long as is configured; with pods disabled no pod has a name, and namespaces stay', async () => {
  const api = await cluster();
  await api.create(Pods, { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [] }, status: { phase: 'Running', podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }] } });
  await using dns = await startDns({ ...base, ttl: 30, pods: 'disabled' }, { api, log: quiet });
  await dns.ready;
  const ask = (name: string): Promise<Read> => askUdp(portOf(dns), question(name));
  assert.deepEqual((await ask(webName)).answers, [`${webName}. 30 A 10.96.1.1`]);
  const absent = await ask(dbName);
  assert.deepEqual([absent.rcode, absent.authority], ['NXDOMAIN', ['cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. minimum 30']]);
  assert.equal((await ask('10-244-1-7.default.pod.cluster.local')).rcode, 'NXDOMAIN');
  assert.equal((await ask('default.pod.cluster.local')).rcode, 'NOERROR');
});

test('a port that is taken is said, and nothing stays open', async () => {
  const api = await cluster();
  await using first = await startDns(base, { api, log: quiet });
  const port = portOf(first);
  await assert.rejects(startDns({ ...base, port }, { api, log: quiet }), (error: KernelError) => error.message.includes(`127.0.0.1:${port}`));
  await first.close();
  await using second = await startDns({ ...base, port }, { api, log: quiet });
  await second.ready;
  assert.equal((await askUdp(port, question(webName))).rcode, 'NOERROR');
});

/** A node with the cluster DNS addresses on no interface, only a `local` route, and a client beside it. */
function node(world: TestWorld): { node: TestNs; pod: TestNs } {
  const [host, pod] = [world.namespace('node'), world.namespace('pod')];
  world.join(host, ['10.244.0.1/24', 'fd00:10:244::1/64'], pod, ['10.244.0.2/24', 'fd00:10:244::2/64']);
  for (const [text, via] of [['10.96.0.10/32', '10.244.0.1'], ['fd00:10:96::a/128', 'fd00:10:244::1']] as const) {
    const destination = Prefix.parse(text);
    host.rt.batch((b) => b.addRoute({ destination, type: 'local', link: 1, table: 255 }));
    run(pod.path, 'ip', 'route', 'add', text, 'via', via);
  }
  return { node: host, pod };
}

test('dig in a pod asks the cluster DNS addresses, which are on no interface; resolvers are asked in the host\'s namespace', {
  skip: needsRoot.skip || needsDig.skip,
}, async () => {
  using world = new TestWorld('dns');
  const { node: host, pod } = node(world);
  // On loopback of the namespace that the test runs in: the node has no way there.
  await using upstream = await TestUpstream.listen((request, { name, transport }) =>
    transport === 'udp' ? answer(request, { flags: 0x0200 }) : answer(request, { answers: [{ name, type: 'A', data: '192.0.2.7' }] }),
  );
  const api = await cluster();
  const config = { ...base, podCidrs: [...base.podCidrs, 'fd00:10:244::/64'], listen: ['10.96.0.10', 'fd00:10:96::a'], port: 53, upstream: { servers: [upstream.server], netns: '/proc/self/ns/net' } };
  await using dns = await startDns(config, { api, netns: host.ns, log: quiet });
  await dns.ready;
  for (const server of config.listen) {
    const ask = (...args: string[]) => dig(pod.path, server, ...args);
    assert.deepEqual((await ask(webName)).answers, [`${webName}. 5 IN A 10.96.1.1`]);
    assert.deepEqual((await ask(webName, 'AAAA', '+tcp')).answers, [`${webName}. 5 IN AAAA fd00:10:96::1`]);
    assert.deepEqual((await ask(`_http._tcp.${webName}`, 'SRV')).answers, [`_http._tcp.${webName}. 5 IN SRV 0 100 80 ${webName}.`]);
    assert.deepEqual((await ask('-x', '10.96.1.1')).answers, [`1.1.96.10.in-addr.arpa. 5 IN PTR ${webName}.`]);
    const nodata = await ask(webName, 'MX');
    assert.equal(nodata.status, 'NOERROR');
    assert.match(nodata.text, /AUTHORITY: 1/);
    assert.equal((await ask(`no.${webName}`)).status, 'NXDOMAIN');
    assert.match((await ask('www.example.com')).answers[0] ?? '', /^www\.example\.com\. \d+ IN A 192\.0\.2\.7$/);
    for (const option of ['+edns=1', '+ednsopt=65001:00ff', '+cookie', '+nsid', '+dnssec']) {
      const { text } = await ask(webName, option, '+noednsneg');
      // Not WARNING, which dig says of every name below .local.
      assert.doesNotMatch(text, /Warning|malformed/, option);
      assert.match(text, option === '+edns=1' ? /status: BADVERS/ : /status: NOERROR/, option);
    }
  }
});
