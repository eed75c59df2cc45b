import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { EndpointSlices, Namespaces, Pods, Services } from '../../kube/resources.ts';
import { getJson } from '../../unix/http.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDns } from '../index.ts';
import { service, slice } from '../testkit/cluster.ts';
import { answer } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import type { Explanation } from './explain.ts';

async function explained(use: (ask: (name: string, options?: { pod?: string; types?: string[] }) => Promise<Explanation>) => Promise<void>, searchWalk = true): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-'));
  const [health, custom] = [join(folder, 'dns.sock'), join(folder, 'dns.yaml')];
  writeFileSync(custom, 'hosts: {entries: [{address: 192.0.2.10, names: [db.example.com]}]}\nrewrite: [{match: exact, from: old.example.com, to: web.shop.svc.cluster.local}]\n');
  try {
    await using upstream = await TestUpstream.listen((request, { name, type }) =>
      name === 'api.example.com.' ? answer(request, { answers: type === 'A' ? [{ name, type, data: '192.0.2.7' }] : [], authority: [{ name: 'example.com', type: 'SOA', data: '30' }] }) : answer(request, { rcode: 3, authority: [{ name: 'example.com', type: 'SOA', data: '30' }] }),
    );
    const api = new FakeApi();
    for (const name of ['shop', 'data']) await api.create(Namespaces, { metadata: { name } });
    await api.create(Services, service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] }, 'shop'));
    await api.create(Services, service('db', { clusterIP: 'None' }, 'data'));
    await api.create(Services, service('ext', { type: 'ExternalName', externalName: 'api.example.com' }, 'shop'));
    await api.create(EndpointSlices, slice('db', [{ ip: '10.244.1.9', hostname: 'db-0' }], { name: 'db-x7k2p', namespaceName: 'data' }));
    const made = await api.create(Pods, { metadata: { name: 'client', namespace: 'shop' }, spec: { containers: [], nodeName: 'node-1' } });
    await api.update(Pods, { ...made, status: { phase: 'Running', podIPs: [{ ip: '10.244.1.7' }] } }, { subresource: 'status' });
    const config = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], healthSocket: health, searchWalk, custom: { file: custom } };
    await using dns = await startDns({ ...config, upstream: { servers: [upstream.server] } }, { api, log: () => {} });
    await dns.ready;
    await use((name, { pod = 'shop/client', types = ['A'] } = {}) =>
      getJson(health, `/explain/${encodeURIComponent(JSON.stringify({ name, pod: pod || undefined, types }))}`),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const lines = ({ tried }: Explanation): string[] =>
  tried.map(({ name, type, rcode, answers }) => `${name} ${type} ${rcode} ${answers.map(({ type: of, data, from }) => `${of} ${data} from ${from.join(' and ')}`).join(', ')}`.trim());

test('each answer is told with the objects that it comes from', async () => {
  await explained(async (ask) => {
    const web = await ask('web');
    assert.deepEqual(web.pod, { namespace: 'shop', name: 'client', hostNetwork: false, nodeName: 'node-1', address: '10.244.1.7' });
    assert.deepEqual([web.searches, web.ndots], [['shop.svc.cluster.local.', 'svc.cluster.local.', 'cluster.local.'], 5]);
    assert.deepEqual([lines(web), web.found], [['web.shop.svc.cluster.local. A NOERROR A 10.96.1.1 from Service shop/web'], 'web.shop.svc.cluster.local.']);
    assert.deepEqual(lines(await ask('db-0.db.data.svc.cluster.local.')), ['db-0.db.data.svc.cluster.local. A NOERROR A 10.244.1.9 from EndpointSlice data/db-x7k2p']);
    assert.deepEqual(lines(await ask('9.1.244.10.in-addr.arpa.', { types: ['PTR'] })), ['9.1.244.10.in-addr.arpa. PTR NOERROR PTR db-0.db.data.svc.cluster.local. from EndpointSlice data/db-x7k2p']);
    assert.deepEqual(lines(await ask('10-244-1-7.shop.pod.cluster.local.')), ['10-244-1-7.shop.pod.cluster.local. A NOERROR A 10.244.1.7 from Pod shop/client']);
    assert.deepEqual(lines(await ask('dns-version.cluster.local.', { types: ['TXT'] })), ['dns-version.cluster.local. TXT NOERROR TXT "1.1.0" from zone']);
    assert.deepEqual(lines(await ask('db.example.com.')), ['db.example.com. A NOERROR A 192.0.2.10 from hosts: entry of db.example.com.']);
    assert.deepEqual(lines(await ask('old.example.com.')), ['old.example.com. A NOERROR A 10.96.1.1 from Service shop/web']);
  });
});

test('a walk of the search path tells where it went; the second time the answer is from the cache', async () => {
  await explained(async (ask) => {
    const first = await ask('api.example.com');
    assert.equal(first.tried.length, 1);
    assert.equal(first.tried[0]!.by, 'search');
    const [alias, address] = first.tried[0]!.answers;
    assert.deepEqual([alias!.data, alias!.from, address!.data], ['api.example.com.', ['search path'], '192.0.2.7']);
    assert.match(address!.from[0]!, /^forward: from resolver/);
    assert.deepEqual(first.tried[0]!.steps.filter(({ stage }) => stage === 'search').map(({ text }) => text), ['walks the search path of pod shop/client', 'found api.example.com.']);
    assert.match((await ask('api.example.com')).tried[0]!.answers[1]!.from[0]!, /^forward: from the cache/);
    const external = await ask('ext');
    assert.deepEqual(external.tried[0]!.answers.map(({ from }) => from[0]!.replace(/ [^ ]*cache.*/, ' cache')), ['Service shop/ext', 'forward: from the cache'.replace(/ [^ ]*cache.*/, ' cache')]);
  });
});

test('without a walk every name of the search path is tried as the pod would, and what does not resolve says so', async () => {
  await explained(async (ask) => {
    const { tried, found } = await ask('api.example.com', { types: ['A', 'AAAA'] });
    assert.deepEqual(tried.map(({ name, type, rcode }) => `${name} ${type} ${rcode}`), [
      ...['shop.svc.cluster.local.', 'svc.cluster.local.', 'cluster.local.'].flatMap((search) => ['A', 'AAAA'].map((type) => `api.example.com.${search} ${type} NXDOMAIN`)),
      'api.example.com. A NOERROR',
      'api.example.com. AAAA NOERROR',
    ]);
    assert.equal(found, 'api.example.com.');
    assert.equal((await ask('no.example.com')).found, undefined);
    const nobody = await ask('web.shop.svc.cluster.local', { pod: '' });
    assert.deepEqual([nobody.pod, nobody.searches, nobody.tried.length, nobody.found], [undefined, undefined, 1, 'web.shop.svc.cluster.local.']);
  }, false);
});

test('what cannot be explained is refused', async () => {
  await explained(async (ask) => {
    await assert.rejects(ask('web', { pod: 'shop/nobody' }), /404: there is no pod shop\/nobody/);
    await assert.rejects(ask('a..b'), /400: .*a\.\.b/);
    await assert.rejects(ask('web', { types: ['NOPE'] }), /400: "NOPE" is no record type/);
  });
});
