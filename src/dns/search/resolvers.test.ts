import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, Pods, Services } from '../../kube/resources.ts';
import { needsRoot } from '../../testing/root.ts';
import { TestWorld } from '../../testing/netns.ts';
import { startDns } from '../index.ts';
import { buildLookup, libcs, lookup, needsLibc } from '../testkit/libc.ts';
import { answer, type RecordText } from '../testkit/message.ts';
import { TestUpstream } from '../testkit/upstream.ts';

const known: Record<string, RecordText[]> = {
  'api.example.com.': [
    { name: 'api.example.com', type: 'A', data: '192.0.2.7' },
    { name: 'api.example.com', type: 'AAAA', data: '2001:db8::7' },
  ],
  'www.example.com.': [
    { name: 'www.example.com', type: 'CNAME', data: 'edge.example.net' },
    { name: 'edge.example.net', type: 'A', data: '192.0.2.8' },
  ],
};

for (const libc of libcs) {
  test(`D19: with ndots:5 ${libc} asks two questions where it takes four to ten without a walk, and finds the same`, {
    skip: needsRoot.skip || needsLibc(libc).skip,
  }, async () => {
    using world = new TestWorld('dns-search');
    const [node, pod] = [world.namespace('node'), world.namespace('pod')];
    world.join(node, ['10.244.1.1/24', 'fd00:10:244::1/64'], pod, ['10.244.1.7/24', 'fd00:10:244::7/64']);
    const program = buildLookup(libc, world.directory);
    const nsswitch = join(world.directory, 'nsswitch.conf');
    writeFileSync(nsswitch, 'hosts: dns\n');
    const resolvConf = join(world.directory, 'resolv.conf');
    writeFileSync(resolvConf, 'search shop.svc.cluster.local svc.cluster.local cluster.local corp.example\nnameserver 10.244.1.1\noptions ndots:5\n');
    const hostResolvConf = join(world.directory, 'host.conf');
    writeFileSync(hostResolvConf, 'search corp.example\n');
    await using upstream = await TestUpstream.listen((request, { name, type }) => {
      const records = known[name]?.filter((record) => record.type === type || record.type === 'CNAME' || record.name === 'edge.example.net');
      const soa: RecordText = { name: 'example.com', type: 'SOA', data: '30' };
      if (!records) return answer(request, { rcode: 3, authority: [soa] });
      return answer(request, { answers: records.filter((record) => record.type === type || record.type === 'CNAME'), authority: [soa] });
    });
    const api = new FakeApi();
    await api.create(Namespaces, { metadata: { name: 'shop' } });
    for (const [name, namespace, clusterIP] of [['web', 'shop', '10.96.1.1'], ['db', 'data', '10.96.1.2']])
      await api.create(Services, { metadata: { name: name!, namespace }, spec: { clusterIP, clusterIPs: [clusterIP!] } });
    const client = await api.create(Pods, {
      metadata: { name: 'client', namespace: 'shop' },
      spec: { containers: [], nodeName: 'node-1' },
    });
    const status = { phase: 'Running', podIP: '10.244.1.7', podIPs: [{ ip: '10.244.1.7' }, { ip: 'fd00:10:244::7' }] };
    await api.update(Pods, { ...client, status }, { subresource: 'status' });
    const start = async (searchWalk: boolean) => {
      const dns = await startDns(
        {
          ...{ listen: ['10.244.1.1'], port: 53, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], searchWalk, hostResolvConf, nodeName: 'node-1' },
          upstream: { servers: [upstream.server], netns: '/proc/self/ns/net' },
        },
        { api, netns: node.ns, log: () => {} },
      );
      await dns.ready;
      return dns;
    };
    const names = ['web', 'db.data', 'web.shop', 'api.example.com', 'www.example.com', 'db.data.svc.cluster.local', 'no.example.com', 'nothing', 'api.example.com.'];
    const results: Record<string, { questions: number; lines: string[] }>[] = [];
    for (const walk of [false, true]) {
      await using dns = await start(walk);
      const count = (): number => (dns.status().metrics as { queriesUdp: number }).queriesUdp;
      const seen: Record<string, { questions: number; lines: string[] }> = {};
      for (const name of names) {
        const before = count();
        const { lines } = await lookup(program, { netns: pod.path, resolvConf, nsswitch }, name);
        seen[name] = { questions: count() - before, lines };
      }
      results.push(seen);
    }
    const [without, withWalk] = results as [(typeof results)[0], (typeof results)[0]];
    const addresses = (lines: string[]): string[] => lines.filter((line) => /^[0-9a-f.:]+$/.test(line));
    for (const name of names) assert.deepEqual([name, ...addresses(withWalk[name]!.lines)], [name, ...addresses(without[name]!.lines)]);
    assert.deepEqual(addresses(withWalk['api.example.com']!.lines), ['192.0.2.7', '2001:db8::7']);
    assert.deepEqual(addresses(withWalk['www.example.com']!.lines), ['192.0.2.8']);
    assert.deepEqual(addresses(withWalk['db.data']!.lines), ['10.96.1.2']);
    const questions = Object.fromEntries(names.map((name) => [name, [without[name]!.questions, withWalk[name]!.questions]]));
    const expected = {
      web: [2, 2],
      ...{ 'db.data': [4, 2], 'web.shop': [4, 2], 'api.example.com': [10, 2], 'www.example.com': [10, 2], 'api.example.com.': [2, 2] },
      'db.data.svc.cluster.local': [10, 2],
    };
    for (const [name, both] of Object.entries(expected)) assert.deepEqual([name, ...questions[name]!], [name, ...both]);
    assert.ok(questions['no.example.com']![1]! <= questions['no.example.com']![0]!);
    for (const seen of results) assert.deepEqual([addresses(seen.nothing!.lines), addresses(seen['no.example.com']!.lines)], [[], []]);
  });
}
