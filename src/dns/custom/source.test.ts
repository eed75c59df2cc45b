import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeApi } from '../../kube/fake.ts';
import { ConfigMaps, Namespaces, Services } from '../../kube/resources.ts';
import { type DnsConfig, startDns } from '../index.ts';
import { askUdp } from '../testkit/client.ts';
import { namespace, service } from '../testkit/cluster.ts';
import { answer, question, type Read } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { checkSource } from './source.ts';

const hosts = (address: string, ...names: string[]): string => `hosts:\n  entries:\n    - {address: ${address}, names: [${names}]}\n`;
const base = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'] };

async function until(check: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await check()) return;
    await sleep(50);
  }
  assert.fail('it did not come true in 20 s');
}

const start = async (custom: object, api: FakeApi, config: Partial<DnsConfig> = {}) => {
  const lines: string[] = [];
  const dns = await startDns({ ...base, ...config, custom }, { api, log: (line) => lines.push(line) });
  await dns.ready;
  const port = Number(dns.status().listen[0]!.split(':').at(-1));
  const ask = (name: string): Promise<Read> => askUdp(port, question(name));
  const addresses = async (name: string): Promise<string[]> => (await ask(name)).answers.map((text) => text.split(' ')[3]!);
  return { dns, lines, ask, addresses, [Symbol.asyncDispose]: () => dns.close() };
};

test('a file is read at the start and whenever it changes; a wrong one keeps the former entries', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-'));
  const file = join(folder, 'dns.yaml');
  const write = (text: string): void => {
    writeFileSync(`${file}~`, text);
    renameSync(`${file}~`, file);
  };
  try {
    write(hosts('192.0.2.1', 'a.example'));
    await using it = await start({ file }, new FakeApi());
    assert.deepEqual(await it.addresses('a.example'), ['192.0.2.1']);
    write('hosts: [');
    await until(async () => it.dns.status().custom?.error !== undefined);
    assert.deepEqual(await it.addresses('a.example'), ['192.0.2.1']);
    assert.match(it.lines.join('\n'), /custom entries of .*dns\.yaml: .*; the former ones stay/);
    writeFileSync(join(folder, 'hosts'), '192.0.2.3 c.example\n');
    write(`${hosts('192.0.2.2', 'b.example')}  files: [${join(folder, 'hosts')}]\n`);
    await until(async () => (await it.addresses('b.example'))[0] === '192.0.2.2');
    assert.deepEqual([await it.addresses('a.example'), await it.addresses('c.example')], [[], ['192.0.2.3']]);
    assert.equal(it.dns.status().custom?.error, undefined);
    writeFileSync(join(folder, 'hosts'), '192.0.2.33 c.example\n');
    await until(async () => (await it.addresses('c.example'))[0] === '192.0.2.33');
    rmSync(file);
    await until(async () => /ENOENT/.test(it.dns.status().custom?.error ?? ''));
    assert.deepEqual(await it.addresses('b.example'), ['192.0.2.2']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a ConfigMap is followed, also one that has CoreDNS' Corefile with the files that it names", async () => {
  const api = new FakeApi();
  const made = await api.create(ConfigMaps, { metadata: { name: 'coredns', namespace: 'kube-system' }, data: {
    Corefile: '.:53 {\n  hosts /etc/coredns/NodeHosts {\n    fallthrough\n  }\n  rewrite name old.example a.example\n  rewrite ttl exact a 3\n  forward . /etc/resolv.conf\n}\n',
    NodeHosts: '192.0.2.5 a.example\n',
  } });
  await using it = await start({ configMap: 'kube-system/coredns' }, api);
  assert.deepEqual([await it.addresses('a.example'), await it.addresses('old.example')], [['192.0.2.5'], ['192.0.2.5']]);
  assert.deepEqual(it.dns.status().custom?.notes, [
    'Corefile:6: rewrite ttl exact a 3: rules about ttl are not translated; only names are',
    'Corefile:7: forward . /etc/resolv.conf: this process forwards nothing: its configuration has no upstream',
  ]);
  const next = await api.update(ConfigMaps, { ...made, data: { 'podnet-dns.yaml': hosts('192.0.2.6', 'a.example') } });
  await until(async () => (await it.addresses('a.example'))[0] === '192.0.2.6');
  const wrong = await api.update(ConfigMaps, { ...next, data: { 'podnet-dns.yaml': 'hosts: {ttl: soon}' } });
  await until(async () => /hosts\.ttl/.test(it.dns.status().custom?.error ?? ''));
  assert.deepEqual(await it.addresses('a.example'), ['192.0.2.6']);
  await api.delete(ConfigMaps, wrong.metadata.name, 'kube-system');
  await until(async () => (await it.addresses('a.example')).length === 0);
});

test('a Corefile is followed as it changes: resolvers, stub domains, the cache and the TTL of the cluster, without a question lost; what takes a new process is named', async () => {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, service('web', { clusterIPs: ['10.96.1.1'] }));
  const saying = (data: string) => TestUpstream.listen((request, { name }) => answer(request, { answers: [{ name, type: 'A', ttl: 300, data }] }));
  await using first = await saying('192.0.2.1');
  await using second = await saying('192.0.2.2');
  await using corp = await saying('192.0.2.3');
  const corefile = (forward: string, ttl: number, more = '', stub = ''): { Corefile: string } => ({
    Corefile: `.:53 {\n kubernetes cluster.local in-addr.arpa {\n  pods insecure\n  ttl ${ttl}\n }\n forward . ${forward}\n cache 30\n${more}}\n${stub}`,
  });
  const map = { metadata: { name: 'coredns', namespace: 'kube-system' } };
  let made = await api.create(ConfigMaps, { ...map, data: corefile(second.server, 7) });
  const set = async (data: Record<string, string>): Promise<void> => void (made = await api.update(ConfigMaps, { ...made, data }));
  await using it = await start({ configMap: 'kube-system/coredns' }, api, { upstream: { servers: [first.server] } });
  const all = (name: string) => it.ask(name).then(({ answers }) => answers.join());
  assert.equal(await all('www.example'), 'www.example. 30 A 192.0.2.2', 'before what the process was configured with');
  assert.match(await all('web.default.svc.cluster.local'), / 7 A 10\.96\.1\.1$/);
  assert.deepEqual(it.dns.status().custom?.notes, ['Corefile:3: pods insecure: names of pods are those of pods that exist ("verified"); any other address gets NXDOMAIN']);

  // Asked without pause while the Corefile goes back and forth.
  let [asking, asked] = [true, 0];
  const asker = (async () => {
    for (; asking; asked++) {
      const [own, other] = await Promise.all([it.ask('web.default.svc.cluster.local'), it.ask(`n${asked % 50}.example`)]);
      assert.deepEqual([own.rcode, own.answers.length, other.rcode, other.answers.length], ['NOERROR', 1, 'NOERROR', 1]);
    }
  })();
  const stub = `corp.example {\n forward . ${corp.server}\n}\n`;
  for (let round = 0; round < 10; round++) {
    await set(corefile(round % 2 ? first.server : second.server, 5 + round, '', round % 2 ? stub : ''));
    // Some in each round, however slow the machine is.
    for (const enough = asked + 2; asked < enough; ) await Promise.race([sleep(20), asker]);
  }
  asking = false;
  await asker;
  assert.ok(asked > 10);

  await set(corefile(first.server, 60, ' prometheus :9153\n erratic\n', stub));
  await until(async () => (await all('db.corp.example')) === 'db.corp.example. 30 A 192.0.2.3');
  assert.equal(await all('www.example'), 'www.example. 30 A 192.0.2.1', 'what the former resolver said is forgotten');
  assert.match(await all('web.default.svc.cluster.local'), / 60 A 10\.96\.1\.1$/);
  assert.match((await it.ask('no.default.svc.cluster.local')).authority[0]!, / 60 SOA .* minimum 60$/);
  assert.deepEqual(it.dns.status().custom?.notes.slice(1), [
    'Corefile:8: prometheus :9153: taken at the start only: this process has metricsListen "unset"; podnet dns translate says what to start it with',
    'Corefile:9: erratic: podnet has no plugin "erratic"',
  ]);
  await set(corefile('dns.example', 5));
  await until(async () => (await all('web.default.svc.cluster.local')).includes(' 5 A '));
  assert.match(await all('www.example'), / A 192\.0\.2\.1$/, 'by the configuration, where the Corefile names nobody');
  assert.match(it.dns.status().custom?.notes.join() ?? '', /forward \. dns\.example: dns\.example: resolvers are ADDRESS/);
  // What is no Corefile changes nothing.
  await set({ Corefile: '. {\n' });
  await until(async () => it.dns.status().custom?.error !== undefined);
  assert.match(await all('web.default.svc.cluster.local'), / 5 A /);
  await api.delete(ConfigMaps, 'coredns', 'kube-system');
  await until(async () => (await it.ask('db.corp.example')).answers[0] === 'db.corp.example. 300 A 192.0.2.1');
});

test('without the ConfigMap names are answered all the same', async () => {
  await using it = await start({ configMap: 'kube-system/podnet-dns' }, new FakeApi());
  assert.equal(it.dns.status().custom?.hosts, 0);
});

test('a source is a file or a ConfigMap', () => {
  for (const [input, why] of [
    [{}, /one of both/],
    [{ file: '/a', configMap: 'a/b' }, /one of both/],
    [{ file: 'dns.yaml' }, /absolute path, not "dns.yaml"/],
    [{ configMap: 'coredns' }, /NAMESPACE\/NAME, not "coredns"/],
    [{ path: '/a' }, /unknown field "custom.path"/],
  ] as const)
    assert.throws(() => checkSource(input as object), { name: 'SyntaxError', message: why });
});
