import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeApi } from '../../kube/fake.ts';
import { ConfigMaps } from '../../kube/resources.ts';
import { startDns } from '../index.ts';
import { askUdp } from '../testkit/client.ts';
import { question } from '../testkit/message.ts';
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

const start = async (custom: object, api: FakeApi) => {
  const lines: string[] = [];
  const dns = await startDns({ ...base, custom }, { api, log: (line) => lines.push(line) });
  await dns.ready;
  const port = Number(dns.status().listen[0]!.split(':').at(-1));
  const addresses = async (name: string): Promise<string[]> => (await askUdp(port, question(name))).answers.map((text) => text.split(' ')[3]!);
  return { dns, lines, addresses, [Symbol.asyncDispose]: () => dns.close() };
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
  assert.deepEqual(it.dns.status().custom?.notes, ['Corefile:6: rewrite ttl exact a 3: rules about ttl are not translated; only names are']);
  const next = await api.update(ConfigMaps, { ...made, data: { 'podnet-dns.yaml': hosts('192.0.2.6', 'a.example') } });
  await until(async () => (await it.addresses('a.example'))[0] === '192.0.2.6');
  const wrong = await api.update(ConfigMaps, { ...next, data: { 'podnet-dns.yaml': 'hosts: {ttl: soon}' } });
  await until(async () => /hosts\.ttl/.test(it.dns.status().custom?.error ?? ''));
  assert.deepEqual(await it.addresses('a.example'), ['192.0.2.6']);
  await api.delete(ConfigMaps, wrong.metadata.name, 'kube-system');
  await until(async () => (await it.addresses('a.example')).length === 0);
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
