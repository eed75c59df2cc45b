import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cni, loadConfList } from './cni.ts';
import { bandwidthOf } from './bandwidth.ts';
import { portMappingsOf } from './port-mappings.ts';

/** A plugin that is the given shell script, and a configuration for it. */
class Bed implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'podnet-test-cni-'));
  readonly confDir = join(this.dir, 'net.d');
  readonly cni = new Cni({ binDir: this.dir, confDir: this.confDir });

  constructor(script: string) {
    mkdirSync(this.confDir);
    writeFileSync(join(this.dir, 'plugin'), `#!/bin/sh\ncd ${this.dir}\n${script}\n`);
    chmodSync(join(this.dir, 'plugin'), 0o755);
  }

  configure(
    name = '10-a.conflist',
    list: object | string = {
      cniVersion: '1.0.0',
      cniVersions: ['1.0.0', '1.1.0'],
      name: 'net',
      plugins: [{ type: 'plugin', key: 1 }],
    },
  ): void {
    writeFileSync(join(this.confDir, name), typeof list === 'string' ? list : JSON.stringify(list));
  }

  read = (file: string): string => (existsSync(join(this.dir, file)) ? readFileSync(join(this.dir, file), 'utf8') : '');

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true });
  }
}

const target = { containerId: 'c1', netns: '/run/netns/x', pod: { namespace: 'shop', name: 'web', uid: 'u' } };
const result = '{"cniVersion":"1.1.0","interfaces":[],"ips":[{"address":"10.0.0.5/32"}],"routes":[],"dns":{}}';

test('the first configuration by name counts, in the highest version that both know', () => {
  using bed = new Bed('');
  assert.throws(() => loadConfList(bed.confDir), /cni plugin not initialized: no network config found in /);
  bed.configure('20-b.conf', { cniVersion: '0.4.0', name: 'other', type: 'plugin' });
  assert.deepEqual(loadConfList(bed.confDir).plugins.length, 1);
  bed.configure('.10-hidden.conflist');
  bed.configure('10-a.conflist');
  const { name, cniVersion } = loadConfList(bed.confDir);
  assert.deepEqual([name, cniVersion], ['net', '1.1.0']);
  bed.configure('05-broken.conflist', '{');
  assert.throws(() => loadConfList(bed.confDir), /cannot use 05-broken\.conflist: /);
});

test('ADD and DEL are called as containerd calls them: environment, configuration, prevResult', async () => {
  using bed = new Bed(
    `cat > in-$CNI_COMMAND; env | grep ^CNI_ | sort > env-$CNI_COMMAND; [ $CNI_COMMAND != ADD ] || echo '${result}'`,
  );
  bed.configure();
  const { result: parsed, raw } = await bed.cni.add(target);
  assert.equal(String(parsed.ips[0]!.address), '10.0.0.5/32');
  assert.deepEqual(JSON.parse(bed.read('in-ADD')), { type: 'plugin', key: 1, name: 'net', cniVersion: '1.1.0' });
  assert.equal(
    bed.read('env-ADD'),
    [
      'CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u',
      'CNI_COMMAND=ADD',
      'CNI_CONTAINERID=c1',
      'CNI_IFNAME=eth0',
      'CNI_NETNS=/run/netns/x',
      `CNI_PATH=${bed.dir}`,
      '',
    ].join('\n'),
  );
  await bed.cni.delete(target, raw);
  assert.deepEqual((JSON.parse(bed.read('in-DEL')) as { prevResult: unknown }).prevResult, JSON.parse(result));
});

test('CRI10, CNI13: host ports are handed to a plugin that says it takes them, at ADD and DEL, and to no other', async () => {
  using bed = new Bed(`cat > in-$CNI_COMMAND; [ $CNI_COMMAND != ADD ] || echo '${result}'`);
  const portMappings = portMappingsOf({
    metadata: { name: 'web' },
    spec: {
      containers: [
        { name: 'a', ports: [{ containerPort: 80, hostPort: 8080 }, { containerPort: 81 }, { containerPort: 82, hostPort: 0 }] },
        { name: 'b', ports: [{ containerPort: 53, hostPort: 53, protocol: 'UDP', hostIP: '192.0.2.1' }] },
      ],
      initContainers: [
        { name: 'before', ports: [{ containerPort: 1, hostPort: 1 }] },
        { name: 'sidecar', restartPolicy: 'Always', ports: [{ containerPort: 9, hostPort: 9, protocol: 'SCTP' }] },
      ],
    },
  });
  const wanted = [
    { hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' },
    { hostPort: 53, containerPort: 53, protocol: 'udp', hostIP: '192.0.2.1' },
    { hostPort: 9, containerPort: 9, protocol: 'sctp', hostIP: '' },
  ];
  assert.deepEqual(portMappings, wanted);
  for (const [capabilities, expected] of [
    [{ portMappings: true, ips: true }, { portMappings: wanted }],
    [{ portMappings: false }, undefined],
    [undefined, undefined],
  ]) {
    bed.configure('10-a.conflist', { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'plugin', capabilities }] });
    const { raw } = await bed.cni.add({ ...target, portMappings });
    await bed.cni.delete({ ...target, portMappings }, raw);
    for (const command of ['ADD', 'DEL'])
      assert.deepEqual((JSON.parse(bed.read(`in-${command}`)) as { runtimeConfig?: unknown }).runtimeConfig, expected, command);
  }
});

test('CRI11, CNI13: the bandwidth that a pod’s annotations ask for is handed over as containerd does, and the annotations to who takes them', async () => {
  using bed = new Bed(`cat > in-$CNI_COMMAND; [ $CNI_COMMAND != ADD ] || echo '${result}'`);
  const annotations = { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '1Mi' };
  const bandwidth = bandwidthOf({ metadata: { name: 'web', annotations }, spec: { containers: [] } });
  const burst = 2 ** 32 - 1;
  const wanted = { ingressRate: 10_000_000, ingressBurst: burst, egressRate: 1 << 20, egressBurst: burst };
  assert.deepEqual(bandwidth, wanted);
  for (const [capabilities, expected] of [
    [{ bandwidth: true }, { bandwidth: wanted }],
    [
      { bandwidth: true, 'io.kubernetes.cri.pod-annotations': true },
      { bandwidth: wanted, 'io.kubernetes.cri.pod-annotations': annotations },
    ],
    [{ portMappings: true, bandwidth: false }, undefined],
  ]) {
    bed.configure('10-a.conflist', { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'plugin', capabilities }] });
    await bed.cni.add({ ...target, annotations, ...(bandwidth ? { bandwidth } : {}) });
    assert.deepEqual((JSON.parse(bed.read('in-ADD')) as { runtimeConfig?: unknown }).runtimeConfig, expected);
  }
  assert.equal(bandwidthOf({ metadata: { name: 'web', annotations: { a: 'b' } } }), undefined);
  const bad = { 'kubernetes.io/egress-bandwidth': '10' };
  assert.throws(
    () => bandwidthOf({ metadata: { name: 'web', annotations: bad } }),
    /egress-bandwidth is "10": expected bits a second/,
  );
});

test("a plugin's error is told in its own words, also when it speaks none", async () => {
  using bed = new Bed(
    `cat > /dev/null; [ $CNI_COMMAND = ADD ] || { echo broken >&2; exit 3; }; echo '{"code":11,"msg":"pool is empty","details":"10.0.0.0/30"}'; exit 1`,
  );
  bed.configure();
  await assert.rejects(bed.cni.add(target), /^Error: plugin type="plugin" failed \(add\): pool is empty; 10\.0\.0\.0\/30$/);
  await assert.rejects(bed.cni.status(), /failed \(status\): broken/);
});

test('an ADD waits while GC runs, since it is not in its list', async () => {
  using bed = new Bed(
    `cat > in-$CNI_COMMAND; echo $CNI_COMMAND >> calls; [ $CNI_COMMAND != GC ] || until [ -e go ]; do sleep 0.01; done; echo end >> calls; echo '${result}'`,
  );
  bed.configure();
  const collected = bed.cni.collect(['c0']);
  const added = bed.cni.add(target);
  while (bed.read('calls') === '') await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(bed.read('calls'), 'GC\n');
  writeFileSync(join(bed.dir, 'go'), '');
  await Promise.all([collected, added]);
  assert.equal(bed.read('calls'), 'GC\nend\nADD\nend\n');
  const { 'cni.dev/valid-attachments': valid } = JSON.parse(bed.read('in-GC')) as Record<string, unknown>;
  assert.deepEqual(valid, [{ containerID: 'c0', ifname: 'eth0' }]);
});
