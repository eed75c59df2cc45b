import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Nodes } from '../../kube/resources.ts';
import { ip, run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { getJson } from '../../unix/http.ts';
import { eventually, TestNode } from '../testkit/node.ts';
import type { IpamReport } from './ipam-report.ts';

const connections = (node: TestNode): string[] =>
  ['ipv4', 'ipv6'].flatMap((family) => run(node.ns.path, 'conntrack', '-L', '-f', family).split('\n').filter(Boolean));

function remember(node: TestNode, protocol: string, source: string, destination: string): void {
  const state = protocol === 'tcp' ? ['--state', 'ESTABLISHED'] : [];
  const ports = ['--sport', '4000', '--dport', '80'];
  run(node.ns.path, 'conntrack', '-I', '-p', protocol, '-t', '900', '-s', source, '-d', destination, ...ports, ...state);
}

/** One of each protocol and direction with the pod, and one that has nothing to do with it. */
function rememberAll(node: TestNode, [ipv4 = '', ipv6 = '']: readonly string[]): void {
  for (const protocol of ['tcp', 'udp']) {
    remember(node, protocol, ipv4, '192.0.2.2');
    remember(node, protocol, '192.0.2.2', ipv4);
    remember(node, protocol, ipv6, '2001:db8::2');
    remember(node, protocol, '2001:db8::2', ipv6);
    remember(node, protocol, '192.0.2.9', '192.0.2.2');
    remember(node, protocol, '2001:db8::9', '2001:db8::2');
  }
}

test(
  "T19, F54: DEL makes the node forget the pod's connections, TCP and UDP, both directions and families, and nobody else's",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { addresses } = await node.addPod('a');
    rememberAll(node, addresses);
    assert.ok(connections(node).length >= 12);
    assert.equal((await node.cni({ command: 'DEL', containerId: 'a' })).code, 0);
    await eventually(() => {
      assert.deepEqual(
        connections(node).filter((line) => addresses.some((address) => line.includes(`=${address} `))),
        [],
      );
    });
    assert.equal(connections(node).filter((line) => /=(192\.0\.2\.9|2001:db8::9) /.test(line)).length, 4);
  },
);

test(
  'T19, F54: an agent that was killed before it made the node forget: the next one does before any ADD',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const gone = await node.addPod('a');
    const stays = await node.addPod('b');
    await node.cni({ command: 'DEL', containerId: 'a' });
    await node.stop();
    rememberAll(node, gone.addresses);
    remember(node, 'udp', stays.addresses[0]!, '192.0.2.7');
    await node.startReady();
    const lines = connections(node);
    assert.deepEqual(
      lines.filter((line) => gone.addresses.some((address) => line.includes(`=${address} `))),
      [],
    );
    assert.ok(
      lines.some((line) => line.includes(`=${stays.addresses[0]} `)),
      'a pod that runs keeps its connections',
    );
  },
);

test('F23: an address that a route or a lease of host-local shows in use is not given, and told', needsRoot, async () => {
  await using node = await TestNode.make();
  const dir = `${node.config.cni.hostLocalDir}/cbr0`;
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${dir}/10.1.0.3`, '0123456789abcdef\r\neth0');
  run(node.ns.path, 'ip', 'link', 'add', 'cali1', 'type', 'bridge');
  run(node.ns.path, 'ip', 'link', 'set', 'cali1', 'up');
  run(node.ns.path, 'ip', 'route', 'add', '10.1.0.2/32', 'dev', 'cali1');
  run(node.ns.path, 'ip', 'route', 'add', 'fd01::2/128', 'dev', 'cali1');
  await node.startReady();
  assert.deepEqual((await node.addPod('a')).addresses, ['10.1.0.4', 'fd01::3']);
});

for (const attach of ['routed', 'bridge'] as const)
  test(
    `F23: pods whose leases are lost or torn keep their addresses and connections, and are known again when they are named (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const one = await node.addPod('one');
      const two = await node.addPod('two');
      const three = await node.addPod('three');
      await node.stop();
      for (const name of readdirSync(node.config.stateDir)) {
        const file = `${node.config.stateDir}/${name}`;
        if (name.startsWith('10.1.0.2_')) rmSync(file);
        else if (name.startsWith('10.1.0.3_')) writeFileSync(file, '{"torn":');
        else if (name === 'cursor') rmSync(file);
      }
      await node.startReady();
      assert.equal(node.log.filter((line) => /was made anew from the link pod/.test(line)).length, 2, node.log.join('\n'));
      const fresh = await node.addPod('fresh');
      assert.deepEqual(fresh.addresses, ['10.1.0.5', 'fd01::5']);
      for (const { addresses } of [one, two, three])
        for (const address of addresses) run(fresh.ns.path, 'ping', '-c1', '-W5', address);
      await node.stop();
      await node.startReady();
      for (const address of one.addresses) run(fresh.ns.path, 'ping', '-c1', '-W5', address);
      // Named by CHECK, DEL and GC.
      const check = { command: 'CHECK', containerId: 'one', netns: one.ns.path, config: { prevResult: one.result } };
      assert.deepEqual(await node.cni(check), { code: 0, json: {} });
      assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'one' }), { code: 0, json: {} });
      await eventually(() => assert.equal(ip(node.ns.path, 'link', 'show', 'type', 'veth').length, 4));
      const valid = ['two', 'three', 'fresh'].map((containerID) => ({ containerID, ifname: 'eth0' }));
      assert.deepEqual(await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': valid } }), { code: 0, json: {} });
      for (const address of two.addresses) run(fresh.ns.path, 'ping', '-c1', '-W5', address);
      assert.equal(node.status().attachments, 3);
    },
  );

test('F23: a link whose lease is lost and that no valid attachment has goes with GC', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  await node.addPod('lost');
  await node.addPod('stays');
  await node.stop();
  rmSync(`${node.config.stateDir}/10.1.0.2_fd01::2.json`);
  await node.startReady();
  assert.equal(node.status().attachments, 2);
  const valid = [{ containerID: 'stays', ifname: 'eth0' }];
  assert.equal((await node.cni({ command: 'GC', config: { 'cni.dev/valid-attachments': valid } })).code, 0);
  assert.equal(node.status().attachments, 1);
  assert.deepEqual(
    readdirSync(node.config.stateDir).filter((name) => name.endsWith('.json')),
    ['10.1.0.3_fd01::3.json'],
  );
});

test(
  'PC6, F27: another pod CIDR while pods run: they keep their addresses and the way to each other, new pods get new ones',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const old = await node.addPod('old');
    const me = await node.api.get(Nodes, 'me');
    await node.api.update(Nodes, { ...me, spec: { podCIDR: '10.1.9.0/24', podCIDRs: ['10.1.9.0/24', 'fd01:0:0:9::/64'] } });
    await eventually(() => assert.deepEqual(node.status().podCidrs, ['10.1.9.0/24', 'fd01:0:0:9::/64']));
    await node.settled();
    const fresh = await node.addPod('fresh');
    assert.deepEqual(fresh.addresses, ['10.1.9.2', 'fd01:0:0:9::2']);
    for (const address of old.addresses) run(fresh.ns.path, 'ping', '-c1', '-W5', address);
    // The same after a restart, and when another node has got the former range.
    await node.stop();
    await node.setNode('heir', ['192.0.2.3', '2001:db8::3'], ['10.1.0.0/24', 'fd01::/64']);
    await node.startReady();
    for (const address of old.addresses) run(fresh.ns.path, 'ping', '-c1', '-W5', address);
    const told =
      /^old \(10\.1\.0\.2, fd01::2\) are from a pod CIDR that the node has no more: their addresses belong to node heir now/;
    assert.ok(node.status().problems.some((line) => told.test(line)));
    assert.match((await node.addPod('next')).addresses.join(), /^10\.1\.9\.\d+,fd01:0:0:9::/);
    await node.cni({ command: 'DEL', containerId: 'next' });
    assert.equal((await node.cni({ command: 'DEL', containerId: 'old' })).code, 0);
    assert.deepEqual(node.status().problems, []);
    assert.deepEqual(
      readdirSync(node.config.stateDir).filter((name) => name.endsWith('.json')),
      ['10.1.9.2_fd01:0:0:9::2.json'],
    );
  },
);

test(
  "F27: another node with a pod CIDR that overlaps this one's is told in status and log, gets no route here, and is well again as soon as it has another",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const pod = await node.addPod('a');
    const right = node.kernel();
    // As wide, wider, narrower; one that was there before and one that is new; of one family each.
    for (const [name, podCIDRs, told, reached] of [
      [
        'twin',
        ['10.1.0.0/24', 'fd01:0:0:7::/64'],
        /10\.1\.0\.0\/24 of this node overlaps 10\.1\.0\.0\/24 of node twin/,
        ['fd01:0:0:7::/64'],
      ],
      ['wide', ['10.1.8.0/24', 'fd01::/56'], /fd01::\/64 of this node overlaps fd01::\/56 of node wide/, ['10.1.8.0/24']],
      ['narrow', ['10.1.0.128/25'], /overlaps 10\.1\.0\.128\/25 of node narrow: two pods may have the same address/, []],
    ] as const) {
      await node.setNode(name, ['192.0.2.3', '2001:db8::3'], [...podCIDRs]);
      await eventually(() => assert.ok(node.status().problems.some((line) => told.test(line))));
      await node.settled();
      const routes = ['-4', '-6'].flatMap((family) => ip<{ dst: string; gateway?: string }>(node.ns.path, family, 'route'));
      const ways = routes.filter(({ gateway }) => gateway === '192.0.2.3' || gateway === '2001:db8::3').map(({ dst }) => dst);
      assert.deepEqual(ways, reached, 'of the other family alone');
      assert.ok(node.log.some((line) => /^problem: /.test(line) && told.test(line)));
      const held = new Set(node.kernel());
      assert.deepEqual(
        right.filter((line) => /"dst":"(10\.1\.0|fd01::)/.test(line) && !held.has(line)),
        [],
      );
      for (const address of pod.addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
      await node.api.delete(Nodes, name);
      await eventually(() => assert.deepEqual(node.status().problems, []));
      assert.ok(node.log.some((line) => /^solved: /.test(line) && told.test(line)));
    }
    // A Node that is made anew: its former CIDR is no conflict any more.
    await node.setNode('twin', ['192.0.2.3', '2001:db8::3'], ['10.1.0.0/24']);
    await eventually(() => assert.equal(node.status().problems.length, 1));
    await node.api.delete(Nodes, 'twin');
    await node.setNode('twin', ['192.0.2.3', '2001:db8::3'], ['10.1.5.0/24']);
    await eventually(() => {
      assert.deepEqual(node.status().problems, []);
      assert.match(run(node.ns.path, 'ip', 'route', 'show', '10.1.5.0/24'), /via 192\.0\.2\.3/);
    });
  },
);

test(
  'F27: a node whose pod CIDR an older one has gives no more addresses until it has another; its pods go on',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const pod = await node.addPod('a');
    const { path } = node.world.namespace('b');
    const older = { ...(await node.api.get(Nodes, 'peer')), spec: { podCIDR: '10.1.0.0/23', podCIDRs: ['10.1.0.0/23'] } };
    const me = await node.api.get(Nodes, 'me');
    // The Node of this one is made anew: it is the younger.
    await node.api.delete(Nodes, 'me');
    node.api.now = () => Date.parse(me.metadata.creationTimestamp!) + 60_000;
    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/24', 'fd01::/64']);
    await node.settled();
    await node.api.update(Nodes, older);
    const why =
      /^the pod CIDR 10\.1\.0\.0\/24 of node me overlaps 10\.1\.0\.0\/23 of node peer, which had it before: .*; give the node another/;
    await eventually(() => assert.match(node.status().why ?? '', why));
    const { json } = await node.cni({ command: 'STATUS' });
    assert.equal(json.code, 51, JSON.stringify(json));
    for (const address of pod.addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
    const adding = node.cni({ command: 'ADD', containerId: 'b', netns: path });
    await node.api.update(Nodes, {
      ...(await node.api.get(Nodes, 'peer')),
      spec: { podCIDR: '10.1.1.0/24', podCIDRs: ['10.1.1.0/24'] },
    });
    assert.equal((await adding).code, 0, 'it waited for the gate');
    assert.equal((await node.cni({ command: 'STATUS' })).code, 0);
  },
);

test('F27: a pod CIDR in a Service CIDR, over the own link, or over the address of a node is told', needsRoot, async () => {
  await using node = await TestNode.make();
  await node.startReady();
  const become = async (...podCIDRs: string[]): Promise<void> =>
    void (await node.api.update(Nodes, { ...(await node.api.get(Nodes, 'me')), spec: { podCIDR: podCIDRs[0]!, podCIDRs } }));
  await node.setNode('far', ['198.51.100.9', '2001:db8:9::9'], ['10.1.4.0/24']);
  for (const [podCIDR, told] of [
    ['10.96.3.0/24', /^the pod CIDR 10\.96\.3\.0\/24 overlaps the Service CIDR 10\.96\.0\.0\/16: /],
    ['192.0.2.128/25', /^the pod CIDR 192\.0\.2\.128\/25 overlaps 192\.0\.2\.0\/24, where eth0 and other nodes/],
    ['198.51.100.0/24', /^the address 198\.51\.100\.9 of node far is in the pod CIDR 198\.51\.100\.0\/24 of this node; /],
  ] as const) {
    await become(podCIDR, 'fd01::/64');
    await eventually(() => assert.deepEqual(node.status().problems.filter((line) => told.test(line)).length, 1));
  }
  await become('10.1.0.0/24', 'fd01::/64');
  await eventually(() => assert.deepEqual(node.status().problems, []));
});

for (const [what, podCIDRs, expected] of [
  ['missing', undefined, /podCIDRs is empty/],
  ['empty', [], /podCIDRs is empty/],
  ['of the secondary family alone', ['fd01::/64'], /has no ipv4 pod CIDR/],
  ['garbage', ['10.1.0.0/24x', 'hello'], /podCIDR of node me: .*10\.1\.0\.0\/24x/],
  ['too small for any pod', ['10.1.0.0/30', 'fd01::/128'], /fd01::\/128 has room for no pod/],
] as const)
  test(
    `F28: podCIDRs ${what}: the node is not ready with the reason, nothing crashes, and good ones mend it`,
    needsRoot,
    async () => {
      await using node = await TestNode.make();
      const me = await node.api.get(Nodes, 'me');
      await node.api.update(Nodes, { ...me, spec: podCIDRs === undefined ? {} : { podCIDRs: [...podCIDRs] } });
      await node.start();
      await eventually(() => assert.match(node.status().why ?? '', expected));
      const status = await node.cni({ command: 'STATUS' });
      assert.equal(status.json.code, 50);
      assert.match(String(status.json.msg), expected);
      await node.api.update(Nodes, { ...(await node.api.get(Nodes, 'me')), spec: { podCIDRs: ['10.1.0.0/24', 'fd01::/64'] } });
      await node.settled();
      assert.deepEqual((await node.addPod('a')).addresses, ['10.1.0.2', 'fd01::2']);
    },
  );

test(
  "F28, CRI5: podCIDRs in another order than the cluster's families: the cluster's primary family is first in the answer",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    const me = await node.api.get(Nodes, 'me');
    await node.api.update(Nodes, { ...me, spec: { podCIDR: 'fd01::/64', podCIDRs: ['fd01::/64', '10.1.0.0/24'] } });
    await node.startReady();
    assert.deepEqual((await node.addPod('a')).addresses, ['10.1.0.2', 'fd01::2']);
  },
);

test(
  'F21, F22: many at once get distinct addresses until none is left; STATUS tells, the first DEL helps, the one given back longest ago is next',
  needsRoot,
  async () => {
    await using node = await TestNode.make({ families: ['ipv4'], clusterDns: ['10.96.0.10'], serviceCidrs: ['10.96.0.0/16'] });
    const me = await node.api.get(Nodes, 'me');
    await node.api.update(Nodes, { ...me, spec: { podCIDRs: ['10.1.0.0/28'] } });
    await node.startReady();
    const pods = await Promise.all(Array.from({ length: 13 }, (_, i) => node.addPod(`p${i}`)));
    assert.equal(new Set(pods.map(({ addresses }) => addresses[0])).size, 13);
    const more = node.world.namespace('more');
    const refused = await node.cni({ command: 'ADD', containerId: 'more', netns: more.path });
    assert.equal(refused.json.code, 101);
    assert.match(String(refused.json.msg), /no address is left in 10\.1\.0\.0\/28: 13 of 13 are in use/);
    assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
    assert.ok(node.status().problems.some((line) => /^0 of 13 addresses are left in 10\.1\.0\.0\/28/.test(line)));
    await node.cni({ command: 'DEL', containerId: 'p4' });
    await node.cni({ command: 'DEL', containerId: 'p2' });
    assert.equal((await node.cni({ command: 'STATUS' })).code, 0);
    const again = await node.cni({ command: 'ADD', containerId: 'more', netns: more.path });
    assert.equal((again.json.ips as { address: string }[])[0]!.address, `${pods[4]!.addresses[0]}/32`);
  },
);

test(
  'CNI9: few addresses left is told in status and log while STATUS is well; STATUS fails when the scarcer family has none, also for what others hold, and is well again',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.api.update(Nodes, {
      ...(await node.api.get(Nodes, 'me')),
      spec: { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd01::/124'] },
    });
    await node.startReady();
    const status = async (): Promise<unknown> => {
      const { code, json } = await node.cni({ command: 'STATUS' });
      return code === 0 ? 'well' : [json.code, json.msg];
    };
    // 14 of IPv6.
    for (let i = 0; i < 11; i++) await node.addPod(`p${i}`);
    assert.deepEqual([await status(), node.status().problems], ['well', []]);
    await node.addPod('p11');
    assert.deepEqual(
      [await status(), node.status().problems],
      ['well', ['2 of 14 addresses are left in fd01::/124: give the node a larger pod CIDR']],
    );
    await eventually(() => assert.ok(node.log.some((line) => /^problem: .*2 of 14 addresses are left/.test(line))));
    run(node.ns.path, 'ip', 'route', 'add', 'fd01::e/128', 'dev', 'eth0');
    await node.stop();
    await node.startReady();
    assert.equal(await status(), 'well');
    await node.addPod('last');
    assert.deepEqual(await status(), [50, 'no address is left in fd01::/124: all 14 are in use']);
    const add = { command: 'ADD', containerId: 'more', netns: node.world.namespace('more').path };
    const refused = await node.cni(add);
    assert.deepEqual([refused.code, refused.json.code], [1, 101]);
    assert.equal((await node.cni({ command: 'DEL', containerId: 'p0' })).code, 0);
    assert.equal(await status(), 'well');
    assert.equal((await node.cni(add)).code, 0);
  },
);

for (const attach of ['routed', 'bridge'] as const)
  test(
    `CNI13: capabilities ips, mac and dns are served, what cannot be had is refused with the reason (${attach})`,
    needsRoot,
    async () => {
      await using node = await TestNode.make({ attach });
      await node.startReady();
      const first = await node.addPod('first');
      const { path } = node.world.namespace('asked');
      const add = (runtimeConfig: Record<string, unknown>, containerId = 'asked') =>
        node.cni({ command: 'ADD', containerId, netns: path, config: { runtimeConfig } });
      for (const [runtimeConfig, code, message] of [
        [{ ips: ['10.1.0.2/24'] }, 7, /the address 10\.1\.0\.2 that was asked for cannot be had: container first has it/],
        [{ ips: ['10.9.0.2'] }, 7, /10\.9\.0\.2 .* is none that pods get from 10\.1\.0\.0\/24 and fd01::\/64/],
        [{ ips: ['10.1.0.1'] }, 7, /10\.1\.0\.1 .*cannot be had/],
        [{ ips: ['10.1.0.7', '10.1.0.8'] }, 7, /runtimeConfig\.ips .* at most one address of each family/],
        [{ ips: '10.1.0.7' }, 7, /runtimeConfig\.ips is "10\.1\.0\.7"/],
        [{ mac: 'hello' }, 7, /runtimeConfig\.mac is "hello"/],
        [{ mac: '01:00:5e:00:00:01' }, 7, /MAC address of one station/],
        [{ mac: '0a:58:0a:01:00:02' }, 7, /which container first has already/],
        [{ dns: { servers: '10.96.0.10' } }, 7, /runtimeConfig\.dns\.servers is "10\.96\.0\.10"/],
      ] as const) {
        const { code: exit, json } = await add(runtimeConfig);
        assert.deepEqual([exit, json.code], [1, code], JSON.stringify(runtimeConfig));
        assert.match(String(json.msg), message);
      }
      const dns = { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] };
      const asked = {
        ips: ['fd01::77/64', '10.1.0.77'],
        mac: '02:11:22:33:44:55',
        dns,
        'io.kubernetes.cri.pod-annotations': { a: 'b' },
      };
      const { code, json } = await add(asked);
      assert.equal(code, 0, JSON.stringify(json));
      assert.deepEqual(
        (json.ips as { address: string }[]).map(({ address }) => address.slice(0, address.indexOf('/'))),
        ['10.1.0.77', 'fd01::77'],
      );
      assert.equal((json.interfaces as { mac: string }[])[1]!.mac, '02:11:22:33:44:55');
      assert.deepEqual(json.dns, { nameservers: dns.servers, search: dns.searches, options: dns.options });
      assert.equal(ip(path, 'link', 'show', 'eth0')[0]!.address, '02:11:22:33:44:55');
      for (const address of ['10.1.0.77', 'fd01::77']) run(first.ns.path, 'ping', '-c1', '-W5', address);
      // The MAC outlives a restart, and the loss of the lease.
      await node.stop();
      for (const name of readdirSync(node.config.stateDir))
        if (name.includes('10.1.0.77')) rmSync(`${node.config.stateDir}/${name}`);
      await node.startReady();
      for (const address of ['10.1.0.77', 'fd01::77']) run(first.ns.path, 'ping', '-c1', '-W5', address);
      const check = { command: 'CHECK', containerId: 'asked', netns: path, config: { prevResult: json, runtimeConfig: asked } };
      assert.deepEqual(await node.cni(check), { code: 0, json: {} });
      assert.equal((await node.cni({ command: 'DEL', containerId: 'asked' })).code, 0);
      assert.notEqual((await node.addPod('next')).addresses[0], '10.1.0.77', 'it comes again as late as any other');
    },
  );

test("on a bridge the pods' gateway, which is podnet's own, is no foreign use of an address", needsRoot, async () => {
  await using node = await TestNode.make({ attach: 'bridge' });
  await node.startReady();
  await node.addPod('a');
  const states = async (): Promise<string[]> =>
    (await getJson<IpamReport>(node.config.statusSocket, '/ipam')).entries.map((entry) => `${entry.state} ${entry.addresses}`);
  assert.deepEqual(await states(), ['in use 10.1.0.2,fd01::2']);
  run(node.ns.path, 'ip', 'route', 'add', '10.1.0.99', 'dev', 'cbr0');
  // Drift is followed by a look at all, which otherwise comes each half minute.
  run(node.ns.path, 'ip', 'route', 'del', '10.1.1.0/24');
  await eventually(async () => assert.deepEqual(await states(), ['in use 10.1.0.2,fd01::2', 'foreign 10.1.0.99']));
});
