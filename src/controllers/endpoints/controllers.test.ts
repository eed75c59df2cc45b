import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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
