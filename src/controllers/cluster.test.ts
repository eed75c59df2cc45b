import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dnsConditionType, isPodReady, kubeMicroTime, kubeTime } from '../kube/objects.ts';
import {
  ConfigMaps,
  Deployments,
  EndpointSlices,
  Endpoints,
  Leases,
  Namespaces,
  Nodes,
  Pods,
  ServiceAccounts,
  Services,
} from '../kube/resources.ts';
import { type BootstrapOptions, bootstrap } from './bootstrap.ts';
import { deployment, eventually, TestCluster, template } from './harness.ts';

const options: BootstrapOptions = {
  serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
  apiAddresses: ['172.30.0.1', 'fd00:172:30::1'],
  apiPort: 6443,
};

describe('bootstrap', () => {
  test('C1, C2: default/kubernetes is the first Service address and leads to the API server; a second run writes nothing', async () => {
    await using c = new TestCluster();
    await bootstrap(c.api, options);
    const { spec } = await c.api.get(Services, 'kubernetes', 'default');
    assert.deepEqual([spec?.clusterIP, spec?.ports?.[0]?.port], ['10.96.0.1', 443]);
    assert.deepEqual((await c.api.get(Endpoints, 'kubernetes', 'default')).subsets, [
      { addresses: [{ ip: '172.30.0.1' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] },
    ]);
    const dns = await c.api.get(Services, 'kube-dns', 'kube-system');
    assert.deepEqual(dns.spec?.clusterIPs, ['10.96.0.10', 'fd00:10:96::a']);
    const all = () =>
      JSON.stringify(
        [Namespaces, Services, Endpoints, EndpointSlices].map((resource) => c.api.dump(resource as typeof Services)),
      );
    const before = all();
    await bootstrap(c.api, options);
    assert.equal(all(), before);
    await assert.rejects(bootstrap(c.api, { ...options, apiAddresses: ['fd00::1'] }), /none of the API's addresses/);
  });

  test('the endpoints of kube-dns are the nodes, ready as they and their DNS are', async () => {
    await using c = new TestCluster();
    await bootstrap(c.api, options);
    await c.start();
    await c.addNode('node-1');
    await c.addNode('node-2', (node) => (node.status!.conditions = [{ type: 'Ready', status: 'False' }]));
    await eventually(async () => {
      const { endpoints, ports } = await c.api.get(EndpointSlices, 'kube-dns-ipv4', 'kube-system');
      assert.deepEqual(
        endpoints?.map(({ nodeName, conditions }) => [nodeName, conditions?.ready]),
        [
          ['node-1', true],
          ['node-2', false],
        ],
      );
      assert.deepEqual(
        ports?.map(({ name, protocol, port }) => [name, protocol, port]),
        [
          ['dns', 'UDP', 53],
          ['dns-tcp', 'TCP', 53],
        ],
      );
    });
    // As the node's agent says when its DNS does not answer.
    for (const status of ['False', 'True'] as const) {
      const conditions = [{ type: 'Ready', status: 'True' as const }, { type: dnsConditionType, status }];
      await c.api.patch(Nodes, 'node-1', undefined, { status: { conditions } }, 'merge', { subresource: 'status' });
      await eventually(async () => {
        const { endpoints } = await c.api.get(EndpointSlices, 'kube-dns-ipv4', 'kube-system');
        assert.equal(endpoints?.[0]?.conditions?.ready, status === 'True');
      });
    }
  });
});

describe('namespaces', () => {
  test('each namespace has its ServiceAccount and the CA, also after somebody deleted them', async () => {
    await using c = await new TestCluster().start();
    await c.api.create(Namespaces, { metadata: { name: 'a' } });
    const there = async () => {
      assert.ok(await c.api.get(ServiceAccounts, 'default', 'a'));
      assert.deepEqual((await c.api.get(ConfigMaps, 'kube-root-ca.crt', 'a')).data, { 'ca.crt': 'PEM' });
    };
    await eventually(there);
    await c.api.delete(ServiceAccounts, 'default', 'a');
    await c.api.patch(ConfigMaps, 'kube-root-ca.crt', 'a', { data: { 'ca.crt': 'forged' } }, 'merge');
    await eventually(there);
  });

  test('deletion empties a namespace and ends well under a second', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('node-1');
    await c.api.create(Namespaces, { metadata: { name: 'a' } });
    const web = deployment('web', 3);
    web.metadata.namespace = 'a';
    await c.api.create(Deployments, web);
    await c.api.create(Services, {
      metadata: { name: 'web', namespace: 'a' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    });
    await eventually(() => assert.equal(c.api.dump(Pods).filter(isPodReady).length, 3));
    const begin = Date.now();
    await c.api.delete(Namespaces, 'a');
    await eventually(() => assert.deepEqual(c.api.dump(Namespaces), []));
    console.log(`# namespace gone after ${Date.now() - begin} ms`);
    for (const resource of [Pods, Deployments, Services, EndpointSlices, ServiceAccounts, ConfigMaps])
      assert.deepEqual(c.api.dump(resource as typeof Pods), [], resource.plural);
  });

  test('a finalizer that nobody serves is told in the conditions, and the namespace goes when it is taken away', async () => {
    await using c = await new TestCluster().start();
    await c.api.create(Namespaces, { metadata: { name: 'a' } });
    await c.api.create(ConfigMaps, { metadata: { name: 'stuck', namespace: 'a', finalizers: ['example.com/hold'] } });
    await c.api.delete(Namespaces, 'a');
    await eventually(async () => {
      const { status } = await c.api.get(Namespaces, 'a');
      const told = (type: string) => status?.conditions?.find((condition) => condition.type === type);
      assert.equal(
        told('NamespaceContentRemaining')?.message,
        'Some resources are remaining: configmaps. has 1 resource instances',
      );
      assert.equal(
        told('NamespaceFinalizersRemaining')?.message,
        'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
      );
    });
    await c.api.patch(ConfigMaps, 'stuck', 'a', { metadata: { finalizers: null } }, 'merge');
    await eventually(() => assert.deepEqual(c.api.dump(Namespaces), []));
  });
});

describe('garbage', () => {
  test('an object whose owner never was, or was another of its name, is deleted; one with a living owner loses only the dead reference', async () => {
    await using c = await new TestCluster().start();
    const owner = await c.api.create(ConfigMaps, { metadata: { name: 'owner', namespace: 'default' } });
    const ref = (name: string, uid: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid });
    const make = (name: string, ownerReferences: ReturnType<typeof ref>[]) =>
      c.api.create(ConfigMaps, { metadata: { name, namespace: 'default', ownerReferences } });
    await make('never', [ref('nobody', 'x')]);
    await make('earlier', [ref('owner', 'other-uid')]);
    await make('both', [ref('owner', owner.metadata.uid!), ref('nobody', 'x')]);
    await make('unknown-kind', [{ apiVersion: 'example.com/v1', kind: 'Thing', name: 'thing', uid: 'y' }]);
    await eventually(() => {
      const left = c.api.dump(ConfigMaps).map(({ metadata }) => `${metadata.name}:${metadata.ownerReferences?.length ?? 0}`);
      assert.deepEqual(left.sort(), ['both:1', 'owner:0', 'unknown-kind:1']);
    });
  });

  test('pods of a deleted node are removed', async () => {
    await using c = await new TestCluster().start();
    await c.addNode('node-1');
    await c.api.create(Pods, { metadata: { name: 'p', namespace: 'default' }, spec: template({}).spec! });
    await eventually(async () => assert.ok(isPodReady(await c.api.get(Pods, 'p', 'default'))));
    await c.api.delete(Nodes, 'node-1');
    await eventually(() => assert.deepEqual(c.api.dump(Pods), []));
  });
});

describe('node lifecycle', () => {
  test('a node without heartbeat becomes Unknown and tainted, its pods not Ready; a heartbeat mends it', async () => {
    await using c = await new TestCluster({ nodeLifecycle: { graceMs: 200 } }).start();
    await c.addNode('node-1');
    const beat = async (at: number) => {
      const spec = { renewTime: kubeMicroTime(at), holderIdentity: 'node-1' };
      const metadata = { name: 'node-1', namespace: 'kube-node-lease' };
      await c.api
        .patch(Leases, 'node-1', 'kube-node-lease', { spec }, 'merge')
        .catch(() => c.api.create(Leases, { metadata, spec }));
    };
    await beat(1000);
    await c.api.create(Pods, { metadata: { name: 'p', namespace: 'default' }, spec: template({}).spec! });
    await eventually(async () => {
      const node = await c.api.get(Nodes, 'node-1');
      assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'Unknown');
      assert.deepEqual(
        node.spec?.taints?.map(({ key, effect }) => `${key}:${effect}`),
        ['node.kubernetes.io/unreachable:NoSchedule', 'node.kubernetes.io/unreachable:NoExecute'],
      );
      assert.equal(isPodReady(await c.api.get(Pods, 'p', 'default')), false);
    });
    await beat(2000);
    const node = await c.api.get(Nodes, 'node-1');
    const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: kubeTime(Date.now() + 1000) }];
    await c.api.update(Nodes, { ...node, status: { ...node.status, conditions } }, { subresource: 'status' });
    await eventually(async () => assert.deepEqual((await c.api.get(Nodes, 'node-1')).spec?.taints, []));
  });
});
