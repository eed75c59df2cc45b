import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod, PodSpec } from '../../kube/types.ts';
import { Forwarder } from '../forward/forwarder.ts';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { HostFile } from '../search/host-file.ts';
import { SearchLists } from '../search/search-lists.ts';
import { namespace, pod, service, slice, TestCluster } from '../testkit/cluster.ts';
import { answer, question, type QuestionOptions, type Read, read, type RecordText } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { ClientAddress } from '../wire/client.ts';
import { ZoneAnswerer } from '../zone/answer.ts';

const shop = { client: '10.244.1.7', path: 'shop.svc.cluster.local' };
const podIn = (ip: string, of: string, spec: Partial<PodSpec> = {}): Pod => {
  const made = pod(ip, of);
  return { ...made, spec: { ...made.spec!, nodeName: 'node-1', ...spec } };
};

interface World extends AsyncDisposable {
  cluster: TestCluster;
  upstream: TestUpstream;
  /** One question as a pod's resolver sends it. */
  ask(name: string, options?: QuestionOptions & { from?: string }): Promise<Read>;
  /** Data of the answers of a name as the pod finds it, or the response code. */
  short(name: string, options?: QuestionOptions & { from?: string }): Promise<string[]>;
  walks: boolean[];
}

/** Names that the resolvers know; all others do not exist. */
type Known = Record<string, RecordText[]>;

async function world(known: Known, { hostConf, nodeName }: { hostConf?: string; nodeName?: string } = {}): Promise<World> {
  const upstream = await TestUpstream.listen((request, { name, type }) => {
    const records = known[name];
    const soa: RecordText = { name: 'example.com', type: 'SOA', data: '30' };
    if (!records) return answer(request, { rcode: 3, authority: [soa] });
    const answers = records.filter((record) => record.type === type || record.type === 'CNAME');
    return answer(request, { answers, authority: answers.length > 0 ? [] : [soa] });
  });
  const cluster = new TestCluster(namespace('shop'), namespace('data'), podIn(shop.client, 'shop'), podIn('fd00:10:244::7', 'shop'));
  const now = (): number => performance.now();
  const metrics = newMetrics();
  const forwarder = new Forwarder({ upstream: { servers: [upstream.server] }, metrics, now });
  const { zones, ttl } = cluster.zone;
  const walks: boolean[] = [];
  const host = hostConf === undefined ? undefined : new HostFile(hostConf, now);
  const lists = new SearchLists({ zone: 'cluster.local', servers: ['10.96.0.10'], host, nodeName });
  const search = { cluster: cluster.zone, lists, onWalk: (found: boolean) => void walks.push(found) };
  const stages = stagesOf({ zones, answerer: new ZoneAnswerer(zones, ttl), isSynced: () => cluster.synced, forwarder, search });
  const pipeline = new Pipeline(stages, metrics, { recursionAvailable: true });
  const ask: World['ask'] = (name, { from = shop.client, ...options } = {}) =>
    new Promise((resolve) => {
      const client = new ClientAddress();
      client.setText(from);
      const message = question(name, options);
      const out = Buffer.alloc(65535);
      const length = pipeline.answer(message, 0, message.length, 'udp', out, 0, () => (later) => resolve(read(later)), client);
      if (length > 0) resolve(read(out.subarray(0, length)));
    });
  const short: World['short'] = async (name, options) => {
    const { rcode, answers } = await ask(name, options);
    return [rcode, ...answers.map((text) => text.split(' ').slice(2).join(' '))];
  };
  return {
    ...{ cluster, upstream, ask, short, walks },
    async [Symbol.asyncDispose]() {
      forwarder[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const api: Known = {
  'api.example.com.': [{ name: 'api.example.com', type: 'A', data: '192.0.2.7', ttl: 300 }],
};

test('D19: the first name of a search path is answered with what the last one would have, from one question to a resolver for each family', async () => {
  await using it = await world(api);
  const first = `api.example.com.${shop.path}`;
  const { answers, rcode, flags, name } = await it.ask(first);
  assert.deepEqual([name, rcode], [`${first}.`, 'NOERROR']);
  assert.ok(flags.includes('RA'));
  assert.equal(answers[0], `${first}. 5 CNAME api.example.com.`);
  assert.match(answers[1]!, /^api\.example\.com\. \d+ A 192\.0\.2\.7$/);
  const six = await it.ask(first, { type: 'AAAA' });
  assert.deepEqual([six.rcode, six.answers], ['NOERROR', [`${first}. 5 CNAME api.example.com.`]], 'the other family ends at the same name');
  assert.match(six.authority[0] ?? '', /^example\.com\. \d+ SOA ns\.example\. root\.example\. minimum 30$/);
  assert.deepEqual(it.upstream.asked.map((asked) => `${asked.name} ${asked.type}`), ['api.example.com. A', 'api.example.com. AAAA']);
  for (let i = 0; i < 3; i++) assert.deepEqual(await it.short(first), ['NOERROR', 'CNAME api.example.com.', 'A 192.0.2.7']);
  assert.equal(it.upstream.asked.length, 2, 'from the cache');
  assert.deepEqual(await it.short(first, { from: 'fd00:10:244::7' }), ['NOERROR', 'CNAME api.example.com.', 'A 192.0.2.7'], 'by its other address');
});

test('D19: a Service of another namespace is found by its short name, with its NODATA; the own namespace comes first', async () => {
  await using it = await world({});
  it.cluster.set(service('db', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] }, 'data'));
  const first = `db.data.${shop.path}`;
  assert.deepEqual(await it.short(first), ['NOERROR', 'CNAME db.data.svc.cluster.local.', 'A 10.96.1.1']);
  const six = await it.ask(first, { type: 'AAAA' });
  assert.deepEqual([six.rcode, six.answers.length, six.authority.length], ['NOERROR', 1, 1], 'NODATA with its SOA, below the alias');
  it.cluster.set(service('data', { clusterIP: 'None' }, 'shop'));
  it.cluster.set(slice('data', [{ ip: '10.244.1.9', hostname: 'db' }], { namespaceName: 'shop' }));
  assert.deepEqual(await it.short(first), ['NOERROR', 'A 10.244.1.9'], 'no walk: the name itself is there');
  assert.deepEqual(it.upstream.asked, []);
});

test('D19: a long alias chain comes along, each record under its own name', async () => {
  await using it = await world({
    'www.example.com.': [
      { name: 'www.example.com', type: 'CNAME', data: 'edge.example.net' },
      { name: 'edge.example.net', type: 'CNAME', data: 'edge7.example.net' },
      { name: 'edge7.example.net', type: 'A', data: '192.0.2.8' },
      { name: 'edge7.example.net', type: 'A', data: '192.0.2.9' },
    ],
  });
  const { answers } = await it.ask(`www.example.com.${shop.path}`);
  assert.deepEqual(answers.map((text) => text.replace(/ \d+ /, ' ')), [
    `www.example.com.${shop.path}. CNAME www.example.com.`,
    'www.example.com. CNAME edge.example.net.',
    'edge.example.net. CNAME edge7.example.net.',
    'edge7.example.net. A 192.0.2.8',
    'edge7.example.net. A 192.0.2.9',
  ]);
});

test('D19: when no name exists the asked one does not, after all were tried once', async () => {
  await using it = await world({});
  for (const type of ['A', 'AAAA'] as const) {
    const { rcode, answers, authority } = await it.ask(`no.example.com.${shop.path}`, { type });
    assert.deepEqual([rcode, answers], ['NXDOMAIN', []]);
    assert.match(authority[0] ?? '', /^cluster\.local\. 5 SOA/);
  }
  assert.deepEqual(await it.short('no.example.com'), ['NXDOMAIN'], 'the last name of the path, known by now');
  assert.equal(it.upstream.asked.length, 2);
  assert.deepEqual(it.walks, [false, false]);
});

test('D19, T32: a resolver that does not answer makes no name wrong: the asked one does not exist, and the pod goes on by itself', async () => {
  await using it = await world(api);
  it.upstream.behaviour = (request) => answer(request, { rcode: 2 });
  assert.deepEqual(await it.short(`api.example.com.${shop.path}`), ['NXDOMAIN']);
  assert.deepEqual(await it.short('api.example.com'), ['SERVFAIL']);
});

test("R6, R8: the host's search domains are walked in their place, and what a pod's own dnsConfig says", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-'));
  try {
    const hostConf = join(folder, 'resolv.conf');
    writeFileSync(hostConf, 'nameserver 192.0.2.53\nsearch corp.example. lan\n');
    await using it = await world(
      { ...api, 'api.example.com.lan.': [{ name: 'api.example.com.lan', type: 'A', data: '192.0.2.99' }], 'git.dev.own.': [{ name: 'git.dev.own', type: 'A', data: '192.0.2.5' }] },
      { hostConf, nodeName: 'node-1' },
    );
    assert.deepEqual(await it.short(`api.example.com.${shop.path}`), ['NOERROR', 'CNAME api.example.com.lan.', 'A 192.0.2.99']);
    assert.deepEqual(it.upstream.asked.map(({ name }) => name), ['api.example.com.corp.example.', 'api.example.com.lan.']);

    it.cluster.set(podIn('10.244.1.8', 'shop', { dnsPolicy: 'None', dnsConfig: { nameservers: ['10.96.0.10'], searches: ['own', 'shop.svc.cluster.local'] } }));
    assert.deepEqual(await it.short(`git.dev.${shop.path}`, { from: '10.244.1.8' }), ['NXDOMAIN'], 'its path begins elsewhere');
    it.cluster.set(podIn('10.244.1.9', 'shop', { dnsConfig: { searches: ['own'], options: [{ name: 'ndots', value: '1' }] } }));
    assert.deepEqual(await it.short(`git.dev.${shop.path}`, { from: '10.244.1.9' }), ['NOERROR', 'CNAME git.dev.own.', 'A 192.0.2.5']);
    const before = it.upstream.asked.length;
    assert.deepEqual(await it.short(`no.where.${shop.path}`, { from: '10.244.1.9' }), ['NXDOMAIN']);
    assert.deepEqual(
      it.upstream.asked.slice(before).map(({ name }) => name),
      ['no.where.corp.example.', 'no.where.lan.', 'no.where.own.'],
      'with two dots and ndots:1 the pod has asked for the name as it is before',
    );
    it.cluster.set({ ...podIn('10.244.2.1', 'shop'), spec: { containers: [], nodeName: 'node-2' } });
    assert.deepEqual(await it.short(`api.example.com.${shop.path}`, { from: '10.244.2.1' }), ['NXDOMAIN'], 'which domains the other node gives is not known');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('D19: nobody else gets a walk, nor any name that may be meant as it is', async () => {
  await using it = await world({ ...api, 'foo.': [{ name: 'foo', type: 'A', data: '192.0.2.66' }], 'db-1.db.': [{ name: 'db-1.db', type: 'A', data: '192.0.2.66' }] });
  it.cluster.set(service('db', { clusterIP: 'None' }, 'shop'));
  it.cluster.set(podIn('10.244.1.20', 'data'));
  it.cluster.set(podIn('10.0.0.1', 'shop', { hostNetwork: true }));
  it.cluster.set(podIn('10.244.1.30', 'shop'));
  it.cluster.set({ ...podIn('10.244.1.30', 'data'), metadata: { name: 'other', namespace: 'data' } });
  const name = `api.example.com.${shop.path}`;
  const cases: [what: string, name: string, options: QuestionOptions & { from?: string }][] = [
    ['who is no pod', name, { from: '192.168.1.1' }],
    ['a pod of another namespace', name, { from: '10.244.1.20' }],
    ['the host, whose address pods of its network have', name, { from: '10.0.0.1' }],
    ['an address that two pods have', name, { from: '10.244.1.30' }],
    ['another type', name, { type: 'TXT' }],
    ['without recursion', name, { flags: 0 }],
    ['the second name of a path', 'api.example.com.svc.cluster.local', {}],
    ['a single label', `foo.${shop.path}`, {}],
    ['a peer that is not ready', `db-1.db.${shop.path}`, {}],
  ];
  for (const [what, asked, options] of cases) assert.deepEqual([what, ...(await it.short(asked, options))], [what, 'NXDOMAIN']);
  assert.deepEqual(it.upstream.asked, []);
  it.cluster.remove({ ...podIn('10.244.1.30', 'data'), metadata: { name: 'other', namespace: 'data' } });
  assert.deepEqual(await it.short(name, { from: '10.244.1.30' }), ['NOERROR', 'CNAME api.example.com.', 'A 192.0.2.7'], 'F54: one of the two is gone');
  it.cluster.synced = false;
  assert.deepEqual(await it.short(name), ['SERVFAIL'], 'D16');
});

test('an answer of a walk that does not fit is cut, with TC', async () => {
  const answers = Array.from({ length: 60 }, (_, i): RecordText => ({ name: 'big.example.com', type: 'A', data: `192.0.2.${i}` }));
  await using it = await world({ 'big.example.com.': answers });
  const { bytes, flags, answers: seen } = await it.ask(`big.example.com.${shop.path}`);
  assert.ok(bytes <= 512 && flags.includes('TC') && seen.length > 10);
});
