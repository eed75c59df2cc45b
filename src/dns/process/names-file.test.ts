import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Namespaces, Services } from '../../kube/resources.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Sources, type Fact } from '../sources.ts';
import { namespace, service, TestCluster } from '../testkit/cluster.ts';
import { readNames, touchNames, writeNames } from './names-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'podnet-test-names-'));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'names');
const many = Array.from({ length: 1000 }, (_, i): Fact => ['Service', `default/s${i}`, { name: `s${i}`, ports: [] }]);

test('what was written is read, for its owner alone, with the time since it was true', async () => {
  await writeNames(path, many);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readNames(path)?.facts, many);
  utimesSync(path, new Date(), new Date(Date.now() - 90_000));
  assert.ok(readNames(path)!.ageMs >= 90_000);
  touchNames(path);
  assert.ok(readNames(path)!.ageMs < 60_000);
});

test('a file that is cut off, of another version or no such file at all is none', async () => {
  await writeNames(path, many);
  const whole = readFileSync(path, 'utf8');
  for (const bytes of [whole.length - 3, whole.length - 6, 1000, 0]) {
    writeFileSync(path, whole);
    truncateSync(path, bytes);
    assert.equal(readNames(path), undefined, `${bytes} bytes`);
  }
  writeFileSync(path, whole.replace('"version":', '"version":9'));
  assert.equal(readNames(path), undefined);
  writeFileSync(path, whole);
  appendFileSync(path, 'more\n');
  assert.equal(readNames(path), undefined);
  assert.equal(readNames(join(folder, 'absent')), undefined);
});

test('what another process knew is answered with, until the API server has told: then what is gone is gone', async () => {
  const [kept, gone] = ['kept', 'gone'].map((name, i) => service(name, { clusterIP: `10.96.1.${i}`, clusterIPs: [`10.96.1.${i}`] }));
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, kept!);
  const former = new TestCluster();
  using before = new Sources(api, former.zone, { pods: true });
  await api.create(Services, gone!);
  before.start();
  await before.synced;
  await writeNames(path, before.facts());

  await api.delete(Services, 'gone', 'default');
  const cluster = new TestCluster();
  using sources = new Sources(api, cluster.zone, { pods: true });
  sources.remember(readNames(path)!.facts);
  const ask = (name: string): string[] => cluster.short(`${name}.default.svc.cluster.local`);
  assert.deepEqual([ask('kept'), ask('gone')], [
    ['NOERROR', '10.96.1.0'],
    ['NOERROR', '10.96.1.1'],
  ]);
  sources.start();
  await sources.synced;
  assert.deepEqual([ask('kept'), ask('gone')], [['NOERROR', '10.96.1.0'], ['NXDOMAIN']]);
});
