import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import type { Explanation } from '../dns/explain/explain.ts';
import { startDns } from '../dns/index.ts';
import type { LogEntry } from '../dns/monitoring/log-tap.ts';
import { askUdp } from '../dns/testkit/client.ts';
import { question } from '../dns/testkit/message.ts';
import { FakeApi } from '../kube/fake.ts';
import { Namespaces, Pods, Services } from '../kube/resources.ts';
import { needsRoot } from '../testing/root.ts';

const main = join(import.meta.dirname, 'main.js');
const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-cli-'));
after(() => rmSync(folder, { recursive: true }));
const socket = join(folder, 'dns.sock');

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The server answers from this process, so the command must not block it. */
const dns = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [main, 'dns', ...args], (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }));
  });

async function served(use: (port: number) => Promise<void>): Promise<void> {
  const api = new FakeApi();
  for (const name of ['shop', 'data']) await api.create(Namespaces, { metadata: { name } });
  await api.create(Services, { metadata: { name: 'web', namespace: 'shop' }, spec: { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] } });
  await api.create(Services, { metadata: { name: 'db', namespace: 'data' }, spec: { clusterIP: '10.96.1.2', clusterIPs: ['10.96.1.2'] } });
  const pod = await api.create(Pods, { metadata: { name: 'client', namespace: 'shop' }, spec: { containers: [], nodeName: 'node-1' } });
  await api.update(Pods, { ...pod, status: { phase: 'Running', podIPs: [{ ip: '127.0.0.1' }] } }, { subresource: 'status' });
  const config = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], healthSocket: socket };
  await using server = await startDns(config, { api, log: () => {} });
  await server.ready;
  await use(Number(server.status().listen[0]!.split(':').at(-1)));
}

/** Lines with single spaces. */
const lines = (text: string): string[] => text.trimEnd().split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '  ').replaceAll(/\d+(\.\d+)? ms/g, 'N ms'));

test('dns query tells what a pod gets, where it comes from, and by exit code whether the name resolves', needsRoot, async () => {
  await served(async () => {
    const asked = ['--socket', socket, '--from', 'client', '-n', 'shop'];
    const { code, stdout, stderr } = await dns('query', 'db.data', ...asked);
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(lines(stdout), [
      'shop/client  127.0.0.1 on node-1',
      'search  shop.svc.cluster.local svc.cluster.local cluster.local  ndots:5',
      '',
      'NAME ASKED  TYPE  ANSWER  TTL  TIME  FROM',
      'db.data.shop.svc.cluster.local.  A  CNAME db.data.svc.cluster.local.  5  N ms  search path',
      'db.data.svc.cluster.local.  10.96.1.2  5  Service data/db',
      'db.data.shop.svc.cluster.local.  AAAA  CNAME db.data.svc.cluster.local.  5  N ms  search path',
      'no such records',
    ]);
    const json = JSON.parse((await dns('query', 'web', ...asked, '--type', 'A', '-o', 'json')).stdout) as Explanation;
    assert.deepEqual([json.found, json.tried.length], ['web.shop.svc.cluster.local.', 1]);
    assert.deepEqual(parse((await dns('query', 'web', ...asked, '--type', 'A', '-o', 'yaml')).stdout).found, json.found);
    const nothing = await dns('query', 'nothing', ...asked);
    assert.equal(nothing.code, 1);
    assert.match(nothing.stdout, /\nnothing does not resolve\n$/);
    assert.match((await dns('query', 'db.data', ...asked, '-o', 'wide')).stdout, /search: walks the search path of pod shop\/client/);
    const unknown = await dns('query', 'web', '--socket', socket, '--from', 'shop/nobody');
    assert.deepEqual([unknown.code, unknown.stderr], [2, 'podnet: there is no pod shop/nobody\n']);
    assert.deepEqual((await dns('query', 'a..b', '--socket', socket)).code, 2);
  });
});

test('dns log prints questions of the pod that is asked for, and ends by itself', needsRoot, async () => {
  await served(async (port) => {
    let over = false;
    const asking = (async () => {
      while (!over) {
        await askUdp(port, question('web.shop.svc.cluster.local'));
        await askUdp(port, question('no.shop.svc.cluster.local'));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const [all, json] = await Promise.all([
      dns('log', '--socket', socket, '--for', '2', '--pod', 'client', '-n', 'shop', '--rcode', 'nxdomain'),
      dns('log', '--socket', socket, '--for', '2', '--name', 'web.shop.svc.cluster.local', '-o', 'json'),
    ]);
    over = true;
    await asking;
    assert.deepEqual([all.code, all.stderr], [0, '']);
    const [head, ...rows] = all.stdout.trimEnd().split('\n');
    assert.match(head!, /^TIME +POD +TYPE +ANSWER +TIME +BY +NAME$/);
    assert.ok(rows.length > 0);
    for (const row of rows) assert.match(row, /^\d\d:\d\d:\d\d\.\d{3} +shop\/client +A +NXDOMAIN +[\d.]+ (us|ms) +zone +no\.shop\.svc\.cluster\.local\.$/);
    const entries = json.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as LogEntry);
    assert.ok(entries.length > 0 && entries.every(({ name, pod }) => name === 'web.shop.svc.cluster.local.' && pod === 'shop/client'));
  });
});

test('dns translate prints a Corefile in podnet\'s words, and names by exit code and line what it cannot', async () => {
  const file = join(folder, 'Corefile');
  writeFileSync(file, '.:53 {\n  errors\n  kubernetes cluster.local\n  forward . 192.0.2.1\n}\n');
  const good = await dns('translate', file);
  assert.deepEqual([good.code, good.stderr], [0, '']);
  assert.deepEqual(parse(good.stdout), { config: { zone: 'cluster.local', upstream: { servers: ['192.0.2.1'] } }, custom: {} });
  writeFileSync(file, '.:53 {\n  template IN A example.com\n}\n');
  const other = await dns('translate', file, '-o', 'json');
  assert.deepEqual([other.code, other.stderr], [1, `${file}:2: template IN A example.com: podnet has no plugin "template"\n`]);
  assert.equal(JSON.parse(other.stdout).notes[0].line, 2);
  writeFileSync(file, '.:53 {\n');
  const wrong = await dns('translate', file);
  assert.deepEqual([wrong.code, wrong.stderr], [2, `podnet: ${file} is no Corefile: line 1: this { has no }\n`]);
  assert.equal((await dns('translate', join(folder, 'none'))).code, 2);
  assert.equal((await dns()).code, 2);
});

test('a DNS process that does not answer is named', needsRoot, async () => {
  const { code, stderr } = await dns('query', 'web', '--socket', join(folder, 'nobody.sock'));
  assert.equal(code, 1);
  assert.match(stderr, /^podnet: \S+nobody\.sock does not answer: .*ENOENT.*\n$/);
});
