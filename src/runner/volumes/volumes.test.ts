import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod, Volume } from '../../kube/types.ts';
import { ContainerStartError } from '../container.ts';
import type { Sources } from '../env/variables.ts';
import { makeVolumes, tokenMount, volumeMounts } from './volumes.ts';

const configMaps: Record<string, Record<string, string>> = {
  web: { 'index.html': 'hello', more: 'x' },
  'kube-root-ca.crt': { 'ca.crt': 'CA' },
};
const sources: Sources = {
  configMap: async (name) => configMaps[name],
  secret: async (name) => (name === 'keys' ? { key: '\xff\x00' } : undefined),
};
const podWith = (volumes: Volume[], spec: object = { automountServiceAccountToken: false }): Pod =>
  ({
    metadata: { name: 'p', namespace: 'shop', labels: { app: 'web' } },
    spec: { volumes, containers: [{ name: 'c' }], ...spec },
  }) as Pod;
const make = (dir: string, pod: Pod): Promise<void> =>
  makeVolumes(dir, {
    pod,
    facts: { podIPs: ['10.0.0.5'], hostIPs: [], allocatable: {} },
    sources,
    token: async ({ audience = '' }) => `token${audience}`,
  });

const withDir = (run: (dir: string) => unknown) => async (): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), 'podnet-test-volumes-'));
  try {
    await run(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
};

test(
  'volumes have the files of their ConfigMap, Secret and downward API, with modes',
  withDir(async (dir) => {
    await make(
      dir,
      podWith([
        { name: 'tmp', emptyDir: {} },
        { name: 'site', configMap: { name: 'web', items: [{ key: 'index.html', path: 'a/b.html', mode: 0o600 }] } },
        { name: 'keys', secret: { secretName: 'keys', defaultMode: 0o400 } },
        { name: 'info', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
        { name: 'gone', configMap: { name: 'none', optional: true } },
      ]),
    );
    assert.equal(statSync(join(dir, 'tmp')).mode & 0o777, 0o777);
    assert.equal(readFileSync(join(dir, 'site/a/b.html'), 'utf8'), 'hello');
    assert.equal(statSync(join(dir, 'site/a/b.html')).mode & 0o777, 0o600);
    assert.deepEqual([...readFileSync(join(dir, 'keys/key'))], [255, 0]);
    assert.equal(statSync(join(dir, 'keys/key')).mode & 0o777, 0o400);
    assert.equal(readFileSync(join(dir, 'info/labels'), 'utf8'), 'app="web"');
    assert.ok(existsSync(join(dir, 'gone')));
  }),
);

test(
  'a pod has token, CA and namespace of its service account where clients look for them',
  withDir(async (dir) => {
    const pod = podWith([], {});
    await make(dir, pod);
    const [mount] = volumeMounts(dir, pod, { name: 'c' }, {});
    assert.deepEqual([mount?.target, mount?.readOnly], [tokenMount, true]);
    assert.deepEqual(
      ['token', 'ca.crt', 'namespace'].map((name) => readFileSync(join(mount!.source, name), 'utf8')),
      ['token', 'CA', 'shop'],
    );
  }),
);

test(
  'what is missing, and what the lab does not have, is named',
  withDir(async (dir) => {
    const failed = (volume: Volume, message: RegExp) => assert.rejects(make(dir, podWith([volume])), message);
    await failed(
      { name: 'v', configMap: { name: 'none' } },
      /MountVolume\.SetUp failed for volume "v": configmap "none" not found/,
    );
    await failed({ name: 'v', secret: { secretName: 'keys', items: [{ key: 'k', path: 'k' }] } }, /non-existent config key: k/);
    await failed({ name: 'v', configMap: { name: 'web', items: [{ key: 'more', path: '../x' }] } }, /leaves the volume/);
    await failed({ name: 'v', hostPath: { path: '/' } }, /no hostPath volumes.*must not write to this machine/);
  }),
);

test(
  'a subPath is made in an emptyDir and found in others; a link in it leads nowhere outside',
  withDir((dir) => {
    const host = join(dir, 'host');
    const volume = join(dir, 'volumes', 'tmp');
    for (const path of [host, join(volume, 'real')]) mkdirSync(path, { recursive: true });
    symlinkSync(host, join(volume, 'out'));
    symlinkSync('real', join(volume, 'in'));
    const pod = podWith([{ name: 'tmp', emptyDir: {} }]);
    const mount = (subPath: string, more = {}) =>
      volumeMounts(
        join(dir, 'volumes'),
        pod,
        { name: 'c', volumeMounts: [{ name: 'tmp', mountPath: '/x', subPath, ...more }] },
        { A: 'a' },
      )[0];
    assert.deepEqual(mount('new/deep'), { source: join(volume, 'new/deep'), target: '/x', readOnly: false });
    assert.ok(statSync(join(volume, 'new/deep')).isDirectory());
    assert.equal(mount('in/more')?.source, join(volume, 'real/more'));
    assert.equal(mount('', { subPathExpr: '$(A)' })?.source, join(volume, 'a'));
    for (const bad of ['out', 'out/made', '../up'])
      assert.throws(
        () => mount(bad),
        (error) => error instanceof ContainerStartError && error.reason === 'CreateContainerConfigError',
      );
    assert.ok(!existsSync(join(host, 'made')));
  }),
);
