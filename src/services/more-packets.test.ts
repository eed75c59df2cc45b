import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Endpoint, EndpointSlice } from '../kube/types.ts';
import { type Family, families } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { named } from './names.ts';
import { refused } from './testkit/outcomes.ts';
import { at, podAddress, service, serviceNode, slice, Testbed } from './testkit/testbed.ts';
import { affinityClass, numberOf, parseNumber } from './values.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const web = [{ name: '', port: 80, protocol: 'TCP', nodePort: 30080 }];

/** A slice of `web` with each endpoint as given. */
const sliceOf = (name: string, family: Family, endpoints: Record<string, Partial<Endpoint>>): EndpointSlice => {
  const made = slice('web', family, Object.keys(endpoints));
  return {
    ...{ ...made, metadata: { ...made.metadata, name } },
    endpoints: made.endpoints!.map((endpoint, i) => ({ ...endpoint, ...Object.values(endpoints)[i] })),
  };
};

async function answering(bed: Testbed, from: string, address: string, port: number, times = 16): Promise<string[]> {
  const names = new Set<string>();
  for (let i = 0; i < times; i++) names.add((await bed.ask(from, address, port)).who);
  return [...names].sort();
}

for (const family of families) {
  test(
    `SD5 (${family}): endpoints that end serve on when nobody else is ready, for the cluster and for the Local set each by itself`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
      const ending = { conditions: { ready: false, serving: true, terminating: true } };
      bed.planner.setService(service('web', [vip[family]], web, { externalTrafficPolicy: 'Local' }));
      bed.planner.setSlice(sliceOf('web', family, { b: ending, c: { conditions: { ready: false, serving: false } }, far: {} }));
      bed.sync();
      assert.deepEqual(await answering(bed, 'a', vip[family], 80), ['far']);
      assert.deepEqual(await answering(bed, 'outside', nodeIp[family], 30080), ['b']);
      bed.planner.setSlice(sliceOf('web', family, { b: ending, c: { conditions: { ready: false, serving: false } } }));
      bed.sync();
      assert.deepEqual(await answering(bed, 'a', vip[family], 80), ['b']);
      bed.planner.setSlice(sliceOf('web', family, { c: { conditions: { ready: false, serving: false } } }));
      bed.sync();
      await assert.rejects(bed.connect('a', vip[family], 80), refused);
      await assert.rejects(bed.connect('outside', nodeIp[family], 30080), refused);
    },
  );

  test(`SD17 (${family}): hints keep a zone's connections in the zone, and a change of the node's zone counts at once`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'c', 'far']) await bed.serveTcp(pod, family, 8080);
    const zone = (name: string): Partial<Endpoint> => ({ hints: { forZones: [{ name }] } });
    bed.planner.setNode({ ...serviceNode, zone: 'east' });
    bed.planner.setService(service('web', [vip[family]], web));
    bed.planner.setSlice(sliceOf('web', family, { b: zone('east'), c: zone('west'), far: zone('west') }));
    bed.sync();
    assert.deepEqual(await answering(bed, 'a', vip[family], 80), ['b']);
    bed.planner.setNode({ ...serviceNode, zone: 'west' });
    bed.sync();
    assert.deepEqual(await answering(bed, 'a', vip[family], 80, 40), ['c', 'far']);
    bed.planner.setSlice(sliceOf('web', family, { b: zone('east'), c: {}, far: zone('west') }));
    bed.sync();
    assert.deepEqual(await answering(bed, 'a', vip[family], 80, 60), ['b', 'c', 'far']);
  });

  test(`SD18, ES13, SA15 (${family}): hand-made slices are served together, and a pod that is not ready where it is published so`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'c']) await bed.serveTcp(pod, family, 8080);
    bed.planner.setService(service('web', [vip[family]], web));
    bed.planner.setSlice(sliceOf('one', family, { b: {} }));
    // publishNotReadyAddresses: the controller writes ready, whatever the pod says.
    bed.planner.setSlice(sliceOf('two', family, { b: { conditions: { ready: false, serving: false } }, c: { conditions: { ready: true, serving: false } } }));
    bed.sync();
    assert.deepEqual(await answering(bed, 'a', vip[family], 80, 40), ['b', 'c']);
    bed.planner.deleteSlice('default', 'one');
    bed.sync();
    assert.deepEqual(await answering(bed, 'a', vip[family], 80), ['c']);
  });

  test(`SD20 (${family}): a process of the node is an endpoint like any, also for a node port of the same node`, needsRoot, async () => {
    await using bed = new Testbed();
    await bed.serveTcp('node', family, 8080);
    bed.planner.setService(service('web', [vip[family]], web));
    const onHost = slice('web', family, ['b']);
    onHost.endpoints = [{ addresses: [nodeIp[family]], nodeName: 'n1' }];
    bed.planner.setSlice(onHost);
    bed.sync();
    for (const from of ['a', 'node', 'far']) assert.equal((await bed.ask(from, nodeIp[family], 30080)).who, 'node', from);
    assert.equal((await bed.ask('outside', nodeIp[family], 30080)).who, 'node');
    assert.deepEqual(await bed.ask('a', vip[family], 80), { who: 'node', seen: podAddress('a', family) });
    assert.equal((await bed.ask('node', vip[family], 80)).who, 'node');
  });

  test(
    `SD22, SD24 (${family}): a packet that meets a transaction halfway, with an endpoint drawn that is gone, takes another one`,
    needsRoot,
    async () => {
      for (const affinity of [{}, { sessionAffinity: 'ClientIP' }]) {
        await using bed = new Testbed();
        await bed.serveTcp('b', family, 8080);
        bed.planner.setService(service('web', [vip[family]], web, affinity));
        bed.planner.setSlice(slice('web', family, ['b']));
        // As a packet sees it that read the number of endpoints before: of three one is left, and one slot names an endpoint that is not there any more.
        const isSticky = affinity.sessionAffinity !== undefined;
        const count = isSticky ? { set: 'affinity-counts', key: '0:2000' } : { set: named('service-ips', family), key: `${vip[family]} . tcp . 80` };
        bed.reconciler.contribute('a packet', [
          { kind: 'nft-element', ...count, data: '0:2003' },
          ...(isSticky ? [{ kind: 'nft-element', set: 'affinity-slots', key: '0:2000 . 1', data: '0:2007' } as const] : []),
        ]);
        bed.sync();
        for (const from of ['a', 'b', 'c', 'node', 'a', 'a', 'c', 'c', 'a', 'c', 'node', 'node']) assert.equal((await bed.ask(from, vip[family], 80)).who, 'b', from);
      }
    },
  );

  test(`SD22, SD24 (${family}): a packet that meets the transaction by which a Service gets session affinity, or loses it, is led all the same`, needsRoot, async () => {
    await using bed = new Testbed();
    await bed.serveTcp('b', family, 8080);
    const key = `${vip[family]} . tcp . 80`;
    // Another Service keeps the chain of the timeout.
    bed.planner.setService(service('other', [String(at(vip[family]).offset(1))], web.slice(0, 1).map(({ nodePort, ...port }) => ({ ...port, port: nodePort })), { sessionAffinity: 'ClientIP' }));
    bed.planner.setSlice(slice('other', family, ['b']));
    bed.planner.setSlice(slice('web', family, ['b']));
    for (const [spec, low] of [
      [{ sessionAffinity: 'ClientIP' }, 3],
      [{}, affinityClass(0)],
      // No chain any more, or not yet, of the timeout that it read.
      [{}, affinityClass(7)],
      [{ sessionAffinity: 'ClientIP' }, affinityClass(7)],
    ] as const) {
      bed.reconciler.contribute('a packet', []);
      bed.planner.setService(service('web', [vip[family]], web, spec));
      bed.sync();
      const set = named('service-ips', family);
      const [, lead] = new RegExp(`${vip[family]} \\. tcp \\. 80 : ([0-9a-f]+:[0-9a-f]+)`).exec(run(bed.node.path, 'nft', 'list', 'map', 'inet', 'podnet', set))!;
      bed.reconciler.contribute('a packet', [{ kind: 'nft-element', set, key, data: numberOf(parseNumber(lead!).setId, low) }]);
      bed.sync();
      for (const from of ['a', 'b', 'node', 'a']) assert.equal((await bed.ask(from, vip[family], 80)).who, 'b', `${from}: class ${low}, ${JSON.stringify(spec)}`);
    }
  });

  test(`SD16, SD1 (${family}): affinity of UDP, in fragments too`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'c', 'far']) bed.serveUdp(pod, family, 5353);
    bed.planner.setService(service('dns', [vip[family]], [{ port: 53, protocol: 'UDP', nodePort: 30053 }], { sessionAffinity: 'ClientIP' }));
    bed.planner.setSlice(slice('dns', family, ['b', 'c', 'far'], 5353, 'UDP'));
    bed.sync();
    for (const [from, address, port] of [
      ['a', vip[family], 53],
      ['outside', nodeIp[family], 30053],
    ] as const) {
      const who = new Set<string>();
      for (const bytes of [10, 4000, 10, 4000, 10, 4000, 10, 10, 10, 10]) who.add((await bed.askUdp(from, address, port, bytes)).split(' ')[0]!);
      assert.equal(who.size, 1, [...who].join());
    }
  });
}

test("the whole table is text that nft reads back the same: session affinity, source ranges and all", needsRoot, async () => {
  await using bed = new Testbed();
  for (const family of families) {
    const lb = service(`web-${family}`, [vip[family]], web, {
      ...{ type: 'LoadBalancer', sessionAffinity: 'ClientIP', externalTrafficPolicy: 'Local' },
      loadBalancerSourceRanges: ['10.0.0.0/8', '192.0.2.7/32', 'fd00::/8', '::/0'],
    });
    bed.planner.setService({ ...lb, status: { loadBalancer: { ingress: [{ ip: family === 'ipv4' ? '198.51.100.1' : 'fd00:198::1' }] } } });
    bed.planner.setSlice(slice(`web-${family}`, family, ['b', 'far']));
    for (const protocol of ['TCP', 'UDP', 'SCTP']) {
      const name = `any-${family}-${protocol.toLowerCase()}`;
      bed.planner.setService(service(name, [at(vip[family]).offset(1).toString()], [{ port: 53, protocol }]));
      bed.planner.setSlice(slice(name, family, ['b', 'far'], 53, protocol));
    }
  }
  bed.sync();
  const list = (path: string): string =>
    run(path, 'nft', 'list', 'table', 'inet', 'podnet').replace(/ # progname .*| *flags owner.*\n|expires \w+ /g, '');
  const text = list(bed.node.path);
  assert.match(text, /update @affinity4 \{ meta priority & ffff:e000 \. ip saddr timeout 3h : meta priority \}/);
  assert.match(text, /198\.51\.100\.1 \. tcp \. 80 \. 10\.0\.0\.0\/8/);
  assert.equal(text.match(/[0-9a-f]+:[0-9a-f]+ \. [01] \. (?:tcp|udp|sctp) : \S+ \. 53/g)?.length ?? 0, 12, 'slots');
  const copy = bed.world.namespace('copy');
  const file = `${bed.world.directory}/table.nft`;
  writeFileSync(file, text);
  run(copy.path, 'nft', '-f', file);
  /** Elements and sets come in no order. */
  const pieces = (listing: string): string[] => listing.split(/[\n,{}]|elements = /).map((piece) => piece.trim()).filter(Boolean).sort();
  assert.deepEqual(pieces(list(copy.path)), pieces(text));
});
