import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectTcp } from '../../kernel/sockets.ts';
import { ApiError } from '../../kube/api.ts';
import { EndpointSlices, Nodes, ServiceCIDRs, Services } from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import { families, IpAddr } from '../../net/ip.ts';
import { ip, run } from '../../testing/judge.ts';
import type { TestNs } from '../../testing/netns.ts';
import { needsRoot } from '../../testing/root.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import { SyncHealth } from './proxy-health.ts';

/** A Service of every kind of destination there is, dual-stack, beside `web`. */
const shop: Service = {
  metadata: { name: 'shop', namespace: 'default' },
  spec: {
    ...{ type: 'LoadBalancer', clusterIP: '10.96.0.90', clusterIPs: ['10.96.0.90', 'fd96::90'], healthCheckNodePort: 32_000 },
    ...{
      externalTrafficPolicy: 'Local',
      sessionAffinity: 'ClientIP',
      loadBalancerSourceRanges: ['0.0.0.0/0', '10.0.0.0/8', '::/0'],
    },
    ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '198.51.100.1' }, { ip: '2001:db8:1::1' }] } },
};

async function addShop(node: TestNode, ready = true): Promise<void> {
  await node.api.create(Services, shop);
  for (const [addressType, address] of [
    ['IPv4', '10.1.0.2'],
    ['IPv6', 'fd01::2'],
  ] as const)
    await node.api.create(EndpointSlices, {
      metadata: { name: `shop-${addressType}`, namespace: 'default', labels: { 'kubernetes.io/service-name': 'shop' } },
      ...{ addressType, ports: [{ name: 'http', port: 8080 }] },
      endpoints: [{ addresses: [address], nodeName: 'me', conditions: { ready, serving: true, terminating: !ready } }],
    });
}

/** Clients remembered, and of whom: `10.1.0.2 0:8000`. */
const remembered = ({ ns }: TestNode): string[] =>
  ['affinity4', 'affinity6'].flatMap((map) =>
    [...run(ns.path, 'nft', 'list', 'map', 'inet', 'podnet', map).matchAll(/[0-9a-f:]+ \. (\S+) .*?expires \S+ : (\S+)/g)].map(
      ([, client, endpoint]) => `${client} ${endpoint}`,
    ),
  );

/** The answer to GET, with its head. */
async function get(
  from: TestNs,
  address: string,
  port: number,
  path = '/',
): Promise<{ code: number; head: string; body: string }> {
  const socket = await connectTcp(from.ns, IpAddr.parse(address), port, { timeoutMs: 5000 });
  socket.write(`GET ${path} HTTP/1.0\r\n\r\n`);
  let text = '';
  for await (const part of socket) text += String(part);
  const [head = '', body = ''] = text.split('\r\n\r\n');
  return { code: Number(head.split(' ')[1]), head: head.toLowerCase(), body };
}

test(
  'SD16, SD22, F54, T19: affinity outlives the agent, which writes nothing, and ends with the pod that had the address',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await addShop(node);
    await node.startReady();
    const pod = await node.addPod('a');
    await node.settled();
    // Nobody answers, but the first packet has been led somewhere.
    for (const address of ['10.96.0.90', 'fd96::90'])
      await connectTcp(pod.ns.ns, IpAddr.parse(address), 80, { timeoutMs: 200 }).then(
        (socket) => socket.destroy(),
        () => {},
      );
    const known = remembered(node);
    assert.deepEqual(known.map((line) => line.split(' ')[0]).sort(), [...pod.addresses].sort());
    await node.stop();
    await node.startReady();
    assert.equal(node.status().reconciler.operations, 0);
    assert.deepEqual(remembered(node), known);
    await node.cni({ command: 'DEL', containerId: 'a', netns: pod.ns.path });
    await eventually(() => assert.deepEqual(remembered(node), []));
  },
);

test('F54: what a killed agent had not forgotten yet, the next one forgets at its start', needsRoot, async () => {
  await using node = await TestNode.make();
  await addShop(node);
  await node.startReady();
  const pod = await node.addPod('a');
  await node.settled();
  await connectTcp(pod.ns.ns, IpAddr.parse('10.96.0.90'), 80, { timeoutMs: 200 }).catch(() => {});
  assert.equal(remembered(node).length, 1);
  // Killed between the answer of DEL and the forgetting, which comes later.
  await node.cniAtOnce({ command: 'DEL', containerId: 'a', netns: pod.ns.path });
  await node.stop();
  assert.equal(remembered(node).length, 1);
  await node.startReady();
  await eventually(() => assert.deepEqual(remembered(node), []));
});

test(
  'SD26: the health-check node port tells of local ready endpoints, on the addresses of node ports alone',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await addShop(node);
    await node.startReady();
    const own = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' };
    for (const family of families) {
      const { code, head, body } = await eventually(() => get(node.peer, own[family], 32_000, '/any/path'));
      assert.equal(code, 200);
      assert.match(head, /x-load-balancing-endpoint-weight: 1/);
      assert.deepEqual(JSON.parse(body), {
        ...{ service: { namespace: 'default', name: 'shop' }, localEndpoints: 1, serviceProxyHealthy: true },
      });
    }
    await assert.rejects(get(node.ns, '127.0.0.1', 32_000));
    const slice = await node.api.get(EndpointSlices, 'shop-IPv4', 'default');
    slice.endpoints = slice.endpoints!.map((endpoint) => ({
      ...endpoint,
      conditions: { ready: false, serving: true, terminating: true },
    }));
    await node.api.update(EndpointSlices, slice);
    await eventually(async () => {
      const { code, head, body } = await get(node.peer, own.ipv4, 32_000);
      assert.deepEqual([code, JSON.parse(body).localEndpoints], [503, 0], 'endpoints that end do not count');
      assert.match(head, /x-load-balancing-endpoint-weight: 0/);
    });
    assert.equal((await get(node.peer, own.ipv6, 32_000)).code, 200, 'the other family has its own');
    const dual = await node.api.get(Services, 'shop', 'default');
    await node.api.update(Services, { ...dual, spec: { ...dual.spec, clusterIPs: ['10.96.0.90'] } });
    await eventually(() => assert.rejects(get(node.peer, own.ipv6, 32_000), 'a family that went'));
    await node.api.update(Services, { ...(await node.api.get(Services, 'shop', 'default')), spec: dual.spec });
    await eventually(async () => assert.equal((await get(node.peer, own.ipv6, 32_000)).code, 200, 'and one that came'));
    const service = await node.api.get(Services, 'shop', 'default');
    await node.api.update(Services, {
      ...service,
      spec: { ...service.spec, externalTrafficPolicy: 'Cluster', healthCheckNodePort: undefined },
    });
    await eventually(() => assert.rejects(get(node.peer, own.ipv6, 32_000)));
  },
);

test('SD26: a health-check port that somebody has is told of', needsRoot, async () => {
  await using node = await TestNode.make({ services: { healthPort: 32_000 } });
  await addShop(node);
  await node.startReady();
  await eventually(() =>
    assert.match(
      node.status().problems.join('\n'),
      /health checks of service default\/shop cannot be answered: .*32000.*EADDRINUSE/,
    ),
  );
});

test('SD27: /healthz says when the Node is about to go, /livez does not', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  for (const address of ['192.0.2.1', '2001:db8::1']) {
    const { code, body } = await get(node.peer, address, 10_256, '/healthz');
    assert.deepEqual([code, Object.keys(JSON.parse(body))], [200, ['lastUpdated', 'currentTime', 'nodeEligible']]);
    assert.equal((await get(node.peer, address, 10_256, '/livez')).code, 200);
    assert.equal((await get(node.peer, address, 10_256, '/')).code, 404);
  }
  const me = await node.api.get(Nodes, 'me');
  await node.api.update(Nodes, {
    ...me,
    spec: { ...me.spec, taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] },
  });
  await eventually(async () => {
    const { code, body } = await get(node.peer, '192.0.2.1', 10_256, '/healthz');
    assert.deepEqual([code, JSON.parse(body).nodeEligible], [503, false]);
  });
  assert.equal((await get(node.peer, '192.0.2.1', 10_256, '/livez')).code, 200);
});

test('SD27: a change that waits for a minute makes the node ill, and its writing well again', () => {
  let now = 1000;
  const health = new SyncHealth(() => now);
  now += 59_000;
  assert.ok(health.isHealthy, 'before anything was ever written');
  now += 2000;
  assert.ok(!health.isHealthy);
  health.done();
  now += 1e9;
  assert.ok(health.isHealthy, 'with nothing to write');
  health.queued();
  now += 50_000;
  health.queued();
  now += 11_000;
  assert.ok(!health.isHealthy, 'the first that waits counts');
  health.done();
  assert.ok(health.isHealthy);
});

test(
  'SD12, IP4: the Service CIDRs of ServiceCIDR objects count with the configured ones, as they come and go',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const cidrs = (): string =>
      ['4', '6'].map((n) => run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', `service-cidrs${n}`)).join();
    const toLink = (): string[] =>
      ip(node.ns.path, '-4', 'route', 'show', 'dev', 'podnet-svc')
        .map(({ dst }) => String(dst))
        .sort();
    await node.api.create(ServiceCIDRs, { metadata: { name: 'more' }, spec: { cidrs: ['10.200.0.0/24', 'fd97::/112'] } });
    await node.startReady();
    assert.match(cidrs(), /10\.96\.0\.0\/16, 10\.200\.0\.0\/24[\s\S]*fd96::\/112,[\s\S]*fd97::\/112/);
    assert.deepEqual(toLink(), ['10.200.0.0/24', '10.96.0.0/16']);
    await node.api.delete(ServiceCIDRs, 'more');
    await eventually(() => assert.doesNotMatch(cidrs(), /10\.200|fd97/));
    await eventually(() => assert.deepEqual(toLink(), ['10.96.0.0/16']));
    await node.api.create(ServiceCIDRs, { metadata: { name: 'later' }, spec: { cidrs: ['10.201.0.0/24'] } });
    await eventually(() => assert.deepEqual(toLink(), ['10.201.0.0/24', '10.96.0.0/16']));
  },
);

test('SD12: an API without ServiceCIDR objects is as good as one with none', needsRoot, async () => {
  await using node = await TestNode.make();
  const missing = (): ApiError => new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  const api = new Proxy(node.api, {
    get: (target, name: keyof typeof node.api) => {
      const call = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (args[0] !== ServiceCIDRs) return call.apply(target, args);
        if (name !== 'watch') return Promise.reject(missing());
        setImmediate(() => (args[2] as { onEnd(error: Error): void }).onEnd(missing()));
        return { close: () => {} };
      };
    },
  });
  await node.startReady(api);
  assert.deepEqual(
    node.status().sources.flatMap(({ kind }) => (kind.endsWith('policies') ? [] : kind)),
    ['nodes', 'services', 'endpointslices'],
  );
  assert.equal(node.log.filter((line) => line.startsWith('servicecidrs')).length, 1);
});

test('SD14: node ports answer on the addresses that the settings say, never on loopback', needsRoot, async () => {
  await using node = await TestNode.make({ services: { nodePortCidrs: ['0.0.0.0/0', '2001:db8::/32'] } });
  run(node.ns.path, 'ip', 'address', 'add', '203.0.113.7/24', 'dev', 'eth0');
  run(node.ns.path, 'ip', 'address', 'add', 'fd77::7/64', 'dev', 'eth0', 'nodad');
  run(node.ns.path, 'ip', 'address', 'add', '192.0.2.77/32', 'dev', 'lo');
  await node.startReady();
  const answering = (): string[] =>
    ['4', '6'].flatMap((n) =>
      [
        ...run(node.ns.path, 'nft', 'list', 'set', 'inet', 'podnet', `nodeport-ips${n}`).matchAll(/[0-9a-f]+[.:][0-9a-f.:]+/g),
      ].map(String),
    );
  assert.deepEqual(answering().sort(), ['192.0.2.1', '192.0.2.77', '2001:db8::1', '203.0.113.7']);
  run(node.ns.path, 'ip', 'address', 'del', '203.0.113.7/24', 'dev', 'eth0');
  await eventually(() => assert.deepEqual(answering().sort(), ['192.0.2.1', '192.0.2.77', '2001:db8::1']));
});
