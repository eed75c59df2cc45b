import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findEnds, findTargets } from './ask.ts';
import { check } from './check.ts';
import { readCluster, readManifestObjects } from './manifests.ts';
import type { AnyObject } from './policies.ts';
import { networkPolicy, pod } from './testkit/objects.ts';
import { podKey } from './world.ts';

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 80 }] }] },
};
const workload = (kind: string, name: string, spec: object = {}, owner?: [kind: string, name: string]): AnyObject =>
  ({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, ...(owner ? { ownerReferences: [{ kind: owner[0], name: owner[1], controller: true }] } : {}) },
    spec: { template, ...spec },
  }) as AnyObject;
/** Keys of the pods but for cluster DNS. */
const podsOf = (...objects: AnyObject[]): string[] =>
  readManifestObjects(objects)
    .world.pods.map(podKey)
    .filter((key) => key !== 'kube-system/kube-dns');

test('pods are made of the templates of workloads, as many as can be told apart', () => {
  assert.deepEqual(podsOf(workload('Deployment', 'web', { replicas: 5 })), ['default/web-1', 'default/web-2']);
  assert.deepEqual(podsOf(workload('Deployment', 'web')), ['default/web']);
  assert.deepEqual(podsOf(workload('Deployment', 'web', { replicas: 0 })), []);
  assert.deepEqual(podsOf(workload('StatefulSet', 'db', { replicas: 3 })), ['default/db-0', 'default/db-1', 'default/db-2']);
  assert.deepEqual(podsOf(workload('CronJob', 'job', { template: undefined, jobTemplate: { spec: { template } } })), [
    'default/job',
  ]);
});

test('what a dump of a cluster holds twice, as workload and as its pods, is there once', () => {
  const owned = (kind: string, name: string) =>
    ({
      ...pod('web-x', '10.0.0.1'),
      metadata: { name: 'web-x', namespace: 'default', ownerReferences: [{ kind, name, controller: true }] },
    }) as AnyObject;
  const set = workload('ReplicaSet', 'web-5d', {}, ['Deployment', 'web']);
  const namespaced = (object: AnyObject): AnyObject => ({ ...object, metadata: { ...object.metadata, namespace: 'default' } });
  const all = [workload('Deployment', 'web'), set].map(namespaced);
  assert.deepEqual(podsOf(...all, owned('ReplicaSet', 'web-5d')), ['default/web-x']);
  assert.deepEqual(podsOf(namespaced(workload('Deployment', 'web')), owned('ReplicaSet', 'web-5d')), ['default/web-x']);
  assert.deepEqual(podsOf(namespaced(workload('StatefulSet', 'web')), owned('StatefulSet', 'web')), ['default/web-x']);
});

test('made-up addresses are of both families, of one pod each, and stay when other objects come', () => {
  const many = Array.from({ length: 300 }, (_, index) => pod(`p${index}`, ''));
  const all = readManifestObjects(many).world.pods.flatMap(({ addresses }) => addresses.map(String));
  assert.equal(new Set(all).size, 602);
  const of = (objects: AnyObject[]) =>
    readManifestObjects(objects)
      .world.pods.find(({ name }) => name === 'a')!
      .addresses.map(String);
  assert.deepEqual(of([pod('a', '')]), of([pod('b', ''), pod('a', '')]));
  const host = readManifestObjects([pod('h', '', {}, { hostNetwork: true })]).world;
  assert.equal(host.nodes.length, 1);
  assert.deepEqual(host.podAt.get(String(host.nodes[0]!.addresses[0])), undefined);
});

const dnsAllowed = (inventory: ReturnType<typeof readCluster>, protocol: 'TCP' | 'UDP' = 'UDP'): boolean =>
  check(
    inventory.world,
    findEnds(inventory, 'a', 'default'),
    findTargets(inventory, 'svc/kube-system/kube-dns:53', protocol, 'default'),
    protocol,
  ).every(({ verdict }) => verdict.allowed);
const egress = (...rules: object[]): AnyObject => networkPolicy('p', { podSelector: {}, policyTypes: ['Egress'], egress: rules });
const toDns = {
  to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
  ports: [{ port: 53, protocol: 'UDP' }],
};
const labDns = {
  ...{
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system', labels: { 'kubernetes.io/name': 'podnet-dns' } },
  },
  spec: {
    clusterIPs: ['10.96.0.10'],
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ],
  },
} as AnyObject;

test('NP17: cluster DNS that nodes answer themselves is judged as the pods of kube-dns; a default deny stops it', () => {
  for (const read of [readManifestObjects, (objects: AnyObject[]) => readCluster([...objects, labDns])]) {
    const asked = (...policies: AnyObject[]) => dnsAllowed(read([pod('a', '10.0.0.1'), ...policies]));
    assert.ok(asked());
    assert.equal(asked(egress()), false);
    assert.ok(asked(egress(toDns)));
    assert.ok(asked(egress({ ports: [{ port: 'dns', protocol: 'UDP' }] })));
    assert.equal(dnsAllowed(read([pod('a', '10.0.0.1'), egress(toDns)]), 'TCP'), false);
    assert.equal(asked(egress({ to: [{ podSelector: {} }] })), false);
  }
});

test('NP5: a namespace without a Namespace object has its name as a label all the same', () => {
  const named = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } };
  assert.ok(dnsAllowed(readManifestObjects([pod('a', '10.0.0.1'), egress({ to: [named] })])));
});

test('cluster DNS that manifests bring along is theirs', () => {
  const own = { ...pod('kube-system/coredns', '10.0.0.53', { 'k8s-app': 'kube-dns' }) };
  assert.deepEqual(readManifestObjects([own]).world.pods.map(podKey), ['kube-system/coredns']);
});

test('a Service without a selector leads where its EndpointSlices say', () => {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 's', namespace: 'default' },
    spec: { clusterIPs: ['10.96.0.7'], ports: [{ port: 80 }] },
  } as AnyObject;
  const slice = {
    ...{
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      addressType: 'IPv4',
      ports: [{ port: 8080 }],
      endpoints: [{ addresses: ['203.0.113.9'] }],
    },
    metadata: { name: 's-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 's' } },
  } as AnyObject;
  const [target] = findTargets(readCluster([service, slice]), 'svc/s:80', 'TCP', 'default');
  assert.deepEqual([target!.label, target!.port], ['203.0.113.9', 8080]);
});
