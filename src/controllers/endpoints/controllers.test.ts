import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Api } from '../../kube/api.ts';
import { Deployments, EndpointSlices, Endpoints, Pods, Services } from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import { deployment, eventually, TestCluster } from '../harness.ts';

const service = (spec: Service['spec'] = {}): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 'http' }],
    ipFamilies: ['IPv4', 'IPv6'],
    clusterIP: '10.96.0.7',
    ...spec,
  },
});

const addresses = (c: TestCluster, family: string): string[] =>
  c.api
    .dump(EndpointSlices)
    .filter(({ addressType }) => addressType === family)
    .flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready).flatMap((one) => one.addresses))
    .sort();

describe('endpoints controllers', () => {
  for (const order of ['Service first', 'pods first'] as const) {
    test(`C11, C12, C18, C19 (${order}): slices and Endpoints hold the ready pods, and lose them with the pods`, async () => {
      await using c = await new TestCluster().start();
      await c.addNode('node-1');
      const make = [() => c.api.create(Services, service()), () => c.api.create(Deployments, deployment('web', 3))];
      for (const one of order === 'Service first' ? make : make.reverse()) {
        await one();
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      const ips = (index: number) =>
        c.api
          .dump(Pods)
          .map(({ status }) => status?.podIPs?.[index]?.ip ?? '')
          .sort();
      await eventually(() => {
        assert.equal(ips(0).length, 3);
        assert.deepEqual(addresses(c, 'IPv4'), ips(0));
        assert.deepEqual(addresses(c, 'IPv6'), ips(1));
        assert.deepEqual(
          c.api
            .dump(Endpoints)[0]
            ?.subsets?.[0]?.addresses?.map(({ ip }) => ip)
            .sort(),
          ips(0),
        );
      });
      await c.api.patch(Deployments, 'web', 'default', { spec: { replicas: 0 } }, 'merge');
      await eventually(() => {
        assert.deepEqual(addresses(c, 'IPv4'), []);
        assert.equal(c.api.dump(EndpointSlices).length, 2, 'ES5: one empty slice for each family');
        assert.deepEqual(c.api.dump(Endpoints)[0]?.subsets, []);
      });
      await c.api.delete(Services, 'web', 'default');
      await eventually(() => assert.deepEqual([c.api.dump(EndpointSlices), c.api.dump(Endpoints)], [[], []]));
      assert.deepEqual(c.errors, []);
    });
  }

  test('ES1: 250 pods stand in slices of at most 100', async () => {
    await using c = await new TestCluster().start();
    for (const name of ['a', 'b', 'c']) await c.addNode(name);
    await c.api.create(Services, service({ ipFamilies: ['IPv4'] }));
    await c.api.create(Deployments, deployment('web', 250));
    await eventually(() => {
      const sizes = c.api.dump(EndpointSlices).map(({ endpoints }) => endpoints?.length ?? 0);
      assert.equal(
        sizes.reduce((a, b) => a + b, 0),
        250,
      );
      assert.ok(sizes.every((size) => size <= 100));
      assert.equal(addresses(c, 'IPv4').length, 250);
    });
  });

  test('ES8: a Service made anew under its name gets slices of its own; foreign slices are left alone', async () => {
    await using c = await new TestCluster().start();
    await c.api.create(Services, service());
    await c.api.create(EndpointSlices, {
      metadata: { name: 'mine', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['1.2.3.4'] }],
    });
    await eventually(() => assert.equal(c.api.dump(EndpointSlices).length, 3));
    await c.api.delete(Services, 'web', 'default');
    const anew = await c.api.create(Services, service());
    await eventually(() => {
      const owners = c.api.dump(EndpointSlices).map(({ metadata }) => metadata.ownerReferences?.[0]?.uid);
      assert.deepEqual(owners.sort(), [anew.metadata.uid, anew.metadata.uid, undefined].sort());
    });
  });

  test('ES8: a slice of a family that the Service lost goes; its address type says which', async () => {
    await using c = await new TestCluster().start();
    await c.api.create(Services, service());
    await eventually(() => assert.equal(c.api.dump(EndpointSlices).length, 2));
    await c.api.patch(Services, 'web', 'default', { spec: { ipFamilies: ['IPv6'] } }, 'merge');
    await eventually(() =>
      assert.deepEqual(
        c.api.dump(EndpointSlices).map(({ addressType }) => addressType),
        ['IPv6'],
      ),
    );
  });

  test('ES13: a Service without selector has the slices that people make, and no others', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('node-1');
    await c.api.create(Deployments, deployment('web', 2));
    await c.api.create(Services, service({ selector: undefined }));
    await c.api.create(EndpointSlices, {
      metadata: { name: 'by-hand', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['1.2.3.4'] }],
    });
    await eventually(() => assert.equal(c.api.dump(Pods).filter(({ status }) => status?.podIPs).length, 2));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(
      c.api.dump(EndpointSlices).map(({ metadata, endpoints }) => [metadata.name, endpoints?.[0]?.addresses]),
      [['by-hand', ['1.2.3.4']]],
    );
    assert.deepEqual(c.api.dump(Endpoints), [], 'nor are there Endpoints');
  });

  test('ES14: with caches that hear of writes late no slice is made twice, and none is lost', async () => {
    await using c = new TestCluster();
    // What a busy API server does: each event comes some milliseconds after the write was answered.
    const watch: Api['watch'] = (resource, onEvent, options) =>
      c.api.watch(resource, (event) => void setTimeout(() => onEvent(event), 15), options);
    const late = new Proxy<Api>(c.api, {
      get(api, name) {
        if (name === 'watch') return watch;
        const member: unknown = Reflect.get(api, name);
        return typeof member === 'function' ? member.bind(api) : member;
      },
    });
    await c.start(late);
    await c.addNode('node-1');
    const seen = new Set<string>();
    const count = (): void => {
      for (const type of ['IPv4', 'IPv6']) {
        const some = c.api.dump(EndpointSlices).filter(({ addressType }) => addressType === type);
        if (some.length > 1) seen.add(`${some.length} slices of ${type}`);
      }
    };
    const timer = setInterval(count, 2);
    try {
      await c.api.create(Services, service());
      for (let size = 1; size <= 8; size++) {
        if (size === 1) await c.api.create(Deployments, deployment('web', 1));
        else await c.api.patch(Deployments, 'web', 'default', { spec: { replicas: size } }, 'merge');
        await c.api.patch(Services, 'web', 'default', { metadata: { labels: { size: `${size}` } } }, 'merge');
        await new Promise((resolve) => setTimeout(resolve, 7));
      }
      await eventually(() => assert.deepEqual([addresses(c, 'IPv4').length, addresses(c, 'IPv6').length], [8, 8]));
    } finally {
      clearInterval(timer);
    }
    assert.deepEqual([[...seen], c.api.dump(EndpointSlices).length], [[], 2]);
  });

  test('ES12: Endpoints are not mirrored without a Service, with one that selects, or when they elect a leader', async () => {
    await using c = await new TestCluster().start();
    const subsets = [{ addresses: [{ ip: '1.2.3.4' }], notReadyAddresses: [{ ip: '2001:db8::5' }], ports: [{ port: 80 }] }];
    const hand = (name: string, annotations?: Record<string, string>) =>
      c.api.create(Endpoints, { metadata: { name, namespace: 'default', annotations }, subsets });
    const bare = (name: string, spec: Service['spec'] = {}) =>
      c.api.create(Services, { ...service({ selector: undefined, ...spec }), metadata: { name, namespace: 'default' } });
    await hand('nobody');
    await bare('leader');
    await hand('leader', { 'control-plane.alpha.kubernetes.io/leader': '{}' });
    await bare('external', { type: 'ExternalName' });
    await hand('external');
    await bare('plain');
    await hand('plain');
    await eventually(() => assert.equal(c.api.dump(EndpointSlices).length, 2));
    const slices = c.api.dump(EndpointSlices);
    for (const { metadata } of slices) {
      assert.equal(metadata.labels?.['kubernetes.io/service-name'], 'plain');
      assert.equal(metadata.labels?.['endpointslice.kubernetes.io/managed-by'], 'endpointslicemirroring-controller.k8s.io');
    }
    assert.deepEqual(
      slices
        .map(({ addressType, endpoints }) => [
          addressType,
          endpoints?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]),
        ])
        .sort(),
      [
        ['IPv4', [['1.2.3.4', true]]],
        ['IPv6', [['2001:db8::5', false]]],
      ],
    );
    await c.api.patch(Services, 'plain', 'default', { spec: { selector: { app: 'web' } } }, 'merge');
    await eventually(() =>
      assert.ok(
        c.api
          .dump(EndpointSlices)
          .every(
            ({ metadata }) => metadata.labels?.['endpointslice.kubernetes.io/managed-by'] === 'endpointslice-controller.k8s.io',
          ),
      ),
    );
  });

  test('ES12: Endpoints of a Service without selector are mirrored until they say not to', async () => {
    await using c = await new TestCluster().start();
    await c.api.create(Services, service({ selector: undefined }));
    await c.api.create(Endpoints, {
      metadata: { name: 'web', namespace: 'default' },
      subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 80 }] }],
    });
    await eventually(() => assert.deepEqual(addresses(c, 'IPv4'), ['1.2.3.4']));
    await c.api.patch(
      Endpoints,
      'web',
      'default',
      { metadata: { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } } },
      'merge',
    );
    await eventually(() => assert.deepEqual(c.api.dump(EndpointSlices), []));
  });
});
