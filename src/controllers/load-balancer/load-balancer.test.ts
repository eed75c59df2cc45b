import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadBalancerClass } from '../../announce/index.ts';
import { Events, Services } from '../../kube/resources.ts';
import type { Service, ServiceSpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { IpRange } from '../../net/range.ts';
import { eventually, TestCluster } from '../harness.ts';
import { cleanupFinalizer } from './controller.ts';
import { AddressPool } from './pool.ts';

const pools = ['172.30.0.128-172.30.0.130', 'fd30::1:0-fd30::1:2'];

const service = (name: string, spec: ServiceSpec = {}): Service => ({
  metadata: { name, namespace: 'default' },
  spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ipFamilies: ['IPv4'], ...spec },
});

async function withCluster(run: (c: TestCluster) => Promise<void>): Promise<void> {
  await using c = await new TestCluster({ loadBalancer: { pools } }).start();
  await c.addNode('node-1');
  await run(c);
  assert.deepEqual(c.errors, []);
}

const get = (c: TestCluster, name: string): Promise<Service> => c.api.get(Services, name, 'default');
const ips = async (c: TestCluster, name: string): Promise<(string | undefined)[]> =>
  ((await get(c, name)).status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip);
const has = (c: TestCluster, name: string, wanted: string[]): Promise<void> =>
  eventually(async () => assert.deepEqual(await ips(c, name), wanted));
const reasons = (c: TestCluster, name: string): string[] =>
  c.api
    .dump(Events)
    .filter(({ involvedObject }) => involvedObject.name === name)
    .map(({ reason }) => reason ?? '');

describe('load balancers of the lab', () => {
  test('SA13: a Service gets an address of each of its families, with ipMode VIP, and a finalizer before', () =>
    withCluster(async (c) => {
      await c.api.create(Services, service('web', { ipFamilies: ['IPv6', 'IPv4'] }));
      await has(c, 'web', ['fd30::1:0', '172.30.0.128']);
      const { metadata, status } = await get(c, 'web');
      assert.ok(status?.loadBalancer?.ingress?.every(({ ipMode }) => ipMode === 'VIP'));
      assert.deepEqual(metadata.finalizers, [cleanupFinalizer]);
      await eventually(() => assert.deepEqual(reasons(c, 'web'), ['EnsuringLoadBalancer', 'EnsuredLoadBalancer']));
    }));

  test('SA11: a Service of a foreign class is left alone, one of our class is not', () =>
    withCluster(async (c) => {
      await c.api.create(Services, service('theirs', { loadBalancerClass: 'example.com/cloud' }));
      await c.api.create(Services, service('ours', { loadBalancerClass }));
      await has(c, 'ours', ['172.30.0.128']);
      const { metadata, status } = await get(c, 'theirs');
      assert.deepEqual([metadata.finalizers, status?.loadBalancer?.ingress], [undefined, undefined]);
    }));

  test('SA12: loadBalancerIP is given when it is free and of the pool; else the Service waits, and an event says why', () =>
    withCluster(async (c) => {
      await c.api.create(Services, service('a', { loadBalancerIP: '172.30.0.130' }));
      await has(c, 'a', ['172.30.0.130']);
      await c.api.create(Services, service('b', { loadBalancerIP: '172.30.0.130' }));
      await c.api.create(Services, service('c', { loadBalancerIP: '192.0.2.1' }));
      await eventually(() => {
        assert.ok(reasons(c, 'b').includes('SyncLoadBalancerFailed'));
        assert.ok(
          c.api
            .dump(Events)
            .some(({ message }) => message?.includes('192.0.2.1 is outside of the pools (172.30.0.128-172.30.0.130')),
        );
      });
      assert.deepEqual([await ips(c, 'b'), await ips(c, 'c')], [[], []]);
      await c.api.delete(Services, 'a', 'default');
      await has(c, 'b', ['172.30.0.130']);
    }));

  test('when the pool is exhausted a Service waits for an address that comes free', () =>
    withCluster(async (c) => {
      for (const name of ['a', 'b', 'c', 'd']) {
        await c.api.create(Services, service(name));
        if (name !== 'd') await eventually(async () => assert.equal((await ips(c, name)).length, 1));
      }
      await eventually(() =>
        assert.ok(c.api.dump(Events).some(({ message }) => message?.includes('no ipv4 address is free in the pools'))),
      );
      await c.api.delete(Services, 'b', 'default');
      await has(c, 'd', ['172.30.0.129']);
    }));

  test('SA11 SA13: a Service that changes its type loses address, status and finalizer; a deleted one goes', () =>
    withCluster(async (c) => {
      await c.api.create(Services, service('web'));
      await has(c, 'web', ['172.30.0.128']);
      await c.api.patch(Services, 'web', 'default', { spec: { type: 'ClusterIP' } }, 'merge');
      await has(c, 'web', []);
      await eventually(async () => assert.equal((await get(c, 'web')).metadata.finalizers?.length ?? 0, 0));
      await c.api.create(Services, service('other', { loadBalancerIP: '172.30.0.128' }));
      await has(c, 'other', ['172.30.0.128']);
      await c.api.delete(Services, 'other', 'default');
      await eventually(() =>
        assert.deepEqual(
          c.api.dump(Services).map(({ metadata }) => metadata.name),
          ['web'],
        ),
      );
    }));

  test('a restart changes nothing, and what was given before counts as given', () =>
    withCluster(async (c) => {
      for (const name of ['a', 'b']) {
        await c.api.create(Services, service(name));
        await eventually(async () => assert.equal((await ips(c, name)).length, 1));
      }
      const before = c.api.dump(Services);
      await c.restart();
      await c.api.create(Services, service('c'));
      await has(c, 'c', ['172.30.0.130']);
      assert.deepEqual(
        c.api.dump(Services).filter(({ metadata }) => metadata.name !== 'c'),
        before,
      );
    }));

  test('SA6: a second family gets its address when it comes, and loses it when it goes', () =>
    withCluster(async (c) => {
      await c.api.create(Services, service('web'));
      await has(c, 'web', ['172.30.0.128']);
      await c.api.patch(Services, 'web', 'default', { spec: { ipFamilies: ['IPv4', 'IPv6'] } }, 'merge');
      await has(c, 'web', ['172.30.0.128', 'fd30::1:0']);
      await c.api.patch(Services, 'web', 'default', { spec: { ipFamilies: ['IPv4'] } }, 'merge');
      await has(c, 'web', ['172.30.0.128']);
    }));

  test('without pools nothing is given: a real cluster has its own controller', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('node-1');
    await c.api.create(Services, service('web'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual([await ips(c, 'web'), (await get(c, 'web')).metadata.finalizers], [[], undefined]);
  });
});

test('a pool gives addresses in order, and one that came free last of all', () => {
  const pool = new AddressPool(['10.0.0.9', '10.0.0.1-10.0.0.2'].map((text) => IpRange.parse(text)));
  const next = (holder: string): string | undefined => pool.takeNext('ipv4', holder)?.toString();
  assert.deepEqual([next('a'), next('b')], ['10.0.0.1', '10.0.0.2']);
  assert.ok(pool.release(IpAddr.parse('10.0.0.1'), 'a'));
  assert.ok(!pool.release(IpAddr.parse('10.0.0.2'), 'a'), 'only its holder gives it back');
  assert.deepEqual([next('c'), next('d'), next('e')], ['10.0.0.9', '10.0.0.1', undefined]);
  assert.equal(pool.takeNext('ipv6', 'f'), undefined);
  assert.ok(!pool.take(IpAddr.parse('10.0.0.3'), 'g'));
});
