import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Api, ApiError } from '../kube/api.ts';
import { UsageError } from './errors.ts';
import { applyManifests, parseManifests, readManifests } from './manifests.ts';

const examples = join(import.meta.dirname, '..', '..', 'examples');

test('the real manifests are read whole', () => {
  const kinds = (file: string) =>
    readManifests(join(examples, file)).map(({ object }) => `${object.kind}/${object.metadata.name}`);
  assert.deepEqual(kinds('guestbook.yaml'), [
    'Service/redis-master',
    'Deployment/redis-master',
    'Service/redis-replica',
    'Deployment/redis-replica',
    'Service/frontend',
    'Deployment/frontend',
  ]);
  assert.equal(kinds('online-boutique.yaml').filter((name) => name.startsWith('Deployment/')).length, 12);
});

test('a folder is read in the order of its file names, lists are taken apart, empty documents passed over', () => {
  const dir = mkdtempSync(join(tmpdir(), 'podnet-test-manifests-'));
  try {
    writeFileSync(join(dir, 'b.yaml'), '---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n');
    const items = ['x', 'y'].map((name) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }));
    writeFileSync(join(dir, 'a.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    writeFileSync(join(dir, 'README.md'), 'not a manifest');
    assert.deepEqual(
      readManifests(dir).map(({ object }) => object.metadata.name),
      ['x', 'y', 'shop'],
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const wrong: readonly (readonly [text: string, message: RegExp])[] = [
  ['apiVersion: v1\nkind: Pod\nmetadata: {name: a\n', /^m\.yaml:\d+: /],
  ['kind: Pod\nmetadata: {name: a}\n', /^m\.yaml:1: an object needs apiVersion and kind/],
  ['\n\napiVersion: v1\nkind: Pod\n', /^m\.yaml:3: Pod has no metadata\.name/],
  ['apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n', /no kind "Deployment" in v1: did you mean apiVersion apps\/v1\?/],
  ['apiVersion: example.org/v1\nkind: Gadget\nmetadata: {name: a}\n', /no kind "Gadget" in example\.org\/v1/],
  ['- a\n', /^m\.yaml:1: a manifest is a mapping/],
];

test('a mistake in a manifest is told with file, line and fault', () => {
  for (const [text, message] of wrong) {
    assert.throws(
      () => parseManifests(text, 'm.yaml'),
      (error: Error) => error instanceof UsageError && message.test(error.message),
      text,
    );
  }
  assert.throws(() => readManifests('/nonexistent.yaml'), /^Error: cannot read \/nonexistent\.yaml: there is no such file$/);
  assert.throws(() => readManifests(''), /cannot read a file without a name/);
  assert.throws(() => readManifests('/proc/1/mem'), /cannot read \/proc\/1\/mem: /);
  assert.throws(() => readManifests('/dev/null'), /\/dev\/null holds no object; leave it out/);
});

test('one refused object does not stop the others, and Namespaces come first', async () => {
  const seen: string[] = [];
  const api = {
    patch: async (_resource: unknown, name: string, namespace: string | undefined) => {
      seen.push(`${namespace ?? '-'}/${name}`);
      if (name === 'bad') throw new ApiError(422, 'Invalid', 'The Service "bad" is invalid');
    },
  } as unknown as Api;
  const text = ['Service bad', 'ConfigMap good', 'Namespace shop']
    .map((line) => line.split(' '))
    .map(([kind, name]) => `apiVersion: v1\nkind: ${kind}\nmetadata: {name: ${name}}\n`)
    .join('---\n');
  const applied = await applyManifests(api, parseManifests(text, 'm.yaml'));
  assert.deepEqual(seen, ['-/shop', 'default/bad', 'default/good']);
  assert.deepEqual(
    applied.map(({ error }) => error),
    [undefined, 'm.yaml:1: The Service "bad" is invalid', undefined],
  );
});
