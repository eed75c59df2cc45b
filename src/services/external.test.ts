import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Service } from '../kube/types.ts';
import { type Family, families } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { refused, unanswered } from './testkit/outcomes.ts';
import { outsideAddress, podAddress, service, serviceNode, slice, Testbed } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const balanced = { ipv4: '198.51.100.10', ipv6: 'fd00:198::10' };
const external = { ipv4: '198.51.100.99', ipv6: 'fd00:198::99' };
const ranges = { ipv4: '198.51.100.0/24', ipv6: 'fd00:198::/64' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const web = [{ name: '', port: 80, protocol: 'TCP', nodePort: 30080 }];

/** A Service `web` of type LoadBalancer that has the address of its family. */
function loadBalancer(family: Family, spec: Service['spec'] = {}, ipMode?: string): Service {
  return {
    ...service('web', [vip[family]], web, { type: 'LoadBalancer', ...spec }),
    status: { loadBalancer: { ingress: [{ ip: balanced[family], ...(ipMode ? { ipMode } : {}) }] } },
  };
}

/** Beyond the client outside are the addresses of load balancers; the client sends them to the node, as a router does to whom it was announced by. */
async function bedWith(family: Family, pods: readonly string[], facts = {}): Promise<Testbed> {
  const bed = new Testbed(facts);
  const [toNode, toOutside] = { ipv4: ['203.0.113.1', '203.0.113.2'], ipv6: ['fd00:203::1', 'fd00:203::2'] }[family] as [string, string];
  run(bed.outside.path, 'ip', 'route', 'add', ranges[family], 'via', toNode);
  run(bed.node.path, 'ip', 'route', 'add', ranges[family], 'via', toOutside);
  // The kernel counts redirects of a packet that goes back where it came from against its other ICMP messages to the same host.
  for (const link of ['all', 'to-outside']) run(bed.node.path, 'sysctl', '-qw', `net.ipv4.conf.${link}.send_redirects=0`);
  for (const pod of pods) await bed.serveTcp(pod, family, 8080);
  return bed;
}

for (const family of families) {
  test(
    `SA13, SD1, SD4d (${family}): a load balancer's address leads pods, the node and the outside to all endpoints, by the node's address`,
    needsRoot,
    async () => {
      await using bed = await bedWith(family, ['b', 'far']);
      bed.planner.setService(loadBalancer(family));
      bed.planner.setSlice(slice('web', family, ['b', 'far']));
      bed.sync();
      for (const from of ['a', 'node', 'outside']) {
        const seenBy = new Set<string>();
        for (let i = 0; i < 24; i++) {
          const { who, seen } = await bed.ask(from, balanced[family], 80);
          assert.equal(seen, nodeIp[family], `${from} to ${who}`);
          seenBy.add(who);
        }
        assert.deepEqual([...seenBy].sort(), ['b', 'far'], from);
      }
    },
  );

  test(`SD1, SD6 (${family}): on the node that announces an address its port is served, also to the node itself, and other ports and pings are refused at once`, needsRoot, async () => {
    await using bed = await bedWith(family, ['b']);
    run(bed.node.path, 'ip', 'route', 'add', balanced[family], 'dev', 'podnet-svc', 'src', nodeIp[family]);
    bed.planner.setService(loadBalancer(family));
    bed.planner.setSlice(slice('web', family, ['b']));
    bed.sync();
    for (const from of ['a', 'node', 'outside']) {
      assert.equal((await bed.ask(from, balanced[family], 80)).who, 'b', from);
      await assert.rejects(bed.connect(from, balanced[family], 81, 2000), refused, from);
    }
    assert.throws(() => run(bed.namespace('a').path, 'ping', '-c1', '-W5', balanced[family]), (error: Error & { stdout?: string }) => /unreachable/i.test(`${error.stdout}`));
  });

  test(
    `SD4e, SD7, SD8 (${family}): externalTrafficPolicy Local on a load balancer's address and an externalIP: local endpoints for the outside, all for pods and the node`,
    needsRoot,
    async () => {
      await using bed = await bedWith(family, ['b', 'far'], { externalIpCidrs: [Prefix.parse(ranges[family])] });
      bed.planner.setService(loadBalancer(family, { externalTrafficPolicy: 'Local', externalIPs: [external[family]] }));
      bed.planner.setSlice(slice('web', family, ['b', 'far']));
      bed.sync();
      for (const address of [balanced[family], external[family]]) {
        const inside = new Set<string>();
        for (let i = 0; i < 20; i++) {
          assert.deepEqual(await bed.ask('outside', address, 80), { who: 'b', seen: outsideAddress[family] });
          const pod = await bed.ask('a', address, 80);
          assert.equal(pod.seen, podAddress('a', family));
          const host = await bed.ask('node', address, 80);
          assert.equal(host.seen, nodeIp[family]);
          inside.add(`a ${pod.who}`).add(`node ${host.who}`);
        }
        assert.deepEqual([...inside].sort(), ['a b', 'a far', 'node b', 'node far'], address);
      }
      bed.planner.setSlice(slice('web', family, ['far']));
      bed.sync();
      for (const address of [balanced[family], external[family]]) {
        await assert.rejects(bed.connect('outside', address, 80, 300), unanswered, address);
        assert.deepEqual(await bed.ask('a', address, 80), { who: 'far', seen: podAddress('a', family) });
        assert.deepEqual(await bed.ask('node', address, 80), { who: 'far', seen: nodeIp[family] });
      }
    },
  );

  test(
    `SD9, SD10, SA12 (${family}): source ranges hold for the load balancer's address alone, before translation, and change at once`,
    needsRoot,
    async () => {
      await using bed = await bedWith(family, ['b', 'far']);
      const host = (address: string): string => `${address}/${family === 'ipv4' ? 32 : 128}`;
      bed.planner.setSlice(slice('web', family, ['b', 'far']));
      const only = (...loadBalancerSourceRanges: string[]): void => {
        bed.planner.setService(loadBalancer(family, { loadBalancerSourceRanges }));
        bed.sync();
      };
      const reached = async (...who: string[]): Promise<void> => {
        for (const from of ['a', 'b', 'node', 'outside']) {
          if (who.includes(from)) await bed.ask(from, balanced[family], 80);
          else await assert.rejects(bed.connect(from, balanced[family], 80, 300), unanswered, from);
        }
      };
      only(host(outsideAddress[family]));
      await reached('outside');
      for (const from of ['a', 'node', 'outside']) await bed.ask(from, nodeIp[family], 30080);
      await bed.ask('a', vip[family], 80);
      only(host(podAddress('a', family)), host(outsideAddress[family]));
      await reached('a', 'outside');
      only(String(serviceNode.podCidrs.find((cidr) => cidr.family === family)));
      await reached('a', 'b');
      only(family === 'ipv4' ? '0.0.0.0/0' : '::/0');
      await reached('a', 'b', 'node', 'outside');
      only(family === 'ipv4' ? 'fd00::/8' : '10.0.0.0/8');
      await reached();
      bed.planner.setService({
        ...loadBalancer(family),
        metadata: {
          ...{ namespace: 'default', name: 'web' },
          annotations: { 'service.beta.kubernetes.io/load-balancer-source-ranges': ` ${host(podAddress('b', family))}, ` },
        },
      });
      bed.sync();
      await reached('b');
      bed.planner.setSlice(slice('web', family, []));
      bed.sync();
      for (const from of ['a', 'node', 'outside'])
        await assert.rejects(bed.connect(from, balanced[family], 80, 300), unanswered, `${from}: dropped before any translation, endpoints or none`);
      await assert.rejects(bed.connect('b', balanced[family], 80, 2000), refused, 'SD6: who is admitted is told that there are none');
      await assert.rejects(bed.connect('outside', nodeIp[family], 30080, 2000), refused, 'SD9');
    },
  );

  test(
    `SD10 (${family}): where the node is admitted, so is a packet of its own that comes from the load balancer's address`,
    needsRoot,
    async () => {
      await using bed = await bedWith(family, ['b']);
      bed.node.own(balanced[family]);
      bed.planner.setSlice(slice('web', family, ['b']));
      const mask = family === 'ipv4' ? 32 : 128;
      bed.planner.setService(loadBalancer(family, { loadBalancerSourceRanges: [`${nodeIp[family]}/${mask}`] }));
      bed.sync();
      assert.equal((await bed.ask('node', balanced[family], 80)).who, 'b');
      bed.planner.setService(loadBalancer(family, { loadBalancerSourceRanges: [`${outsideAddress[family]}/${mask}`] }));
      bed.sync();
      await assert.rejects(bed.connect('node', balanced[family], 80, 300), unanswered);
    },
  );

  test(`SD11 (${family}): an address with ipMode Proxy is the load balancer's own; one with VIP is the nodes'`, needsRoot, async () => {
    await using bed = await bedWith(family, ['b']);
    bed.outside.own(balanced[family]);
    await bed.serveTcp('outside', family, 80);
    bed.planner.setSlice(slice('web', family, ['b']));
    for (const [mode, who] of [
      ['Proxy', 'outside'],
      ['VIP', 'b'],
      ['Proxy', 'outside'],
    ] as const) {
      bed.planner.setService(loadBalancer(family, {}, mode));
      bed.sync();
      for (const from of ['a', 'node']) assert.equal((await bed.ask(from, balanced[family], 80)).who, who, `${from}, ${mode}`);
    }
  });

  test(
    `SD6, SD12 (${family}): without endpoints external addresses refuse; a load balancer's undeclared ports come back to nobody`,
    needsRoot,
    async () => {
      await using bed = await bedWith(family, ['b'], { externalIpCidrs: [Prefix.parse(ranges[family])] });
      bed.planner.setService(loadBalancer(family, { externalIPs: [external[family]], externalTrafficPolicy: 'Local' }));
      bed.sync();
      for (const from of ['a', 'node', 'outside'])
        for (const address of [balanced[family], external[family]])
          await assert.rejects(bed.connect(from, address, 80), refused, `${from} to ${address}`);
      bed.planner.setSlice(slice('web', family, ['b']));
      bed.sync();
      assert.equal((await bed.ask('outside', balanced[family], 80)).who, 'b');
      await assert.rejects(bed.connect('outside', balanced[family], 81), refused);
      await assert.rejects(bed.askUdp('outside', balanced[family], 80), refused);
    },
  );

  test(`SA17, T9 (${family}): externalIPs are served only within what is allowed, and never addresses of others`, needsRoot, async () => {
    await using bed = await bedWith(family, ['b', 'far']);
    bed.planner.setSlice(slice('web', family, ['b']));
    const taken = (): string => run(bed.node.path, 'nft', 'list', 'set', 'inet', 'podnet', family === 'ipv4' ? 'externals4' : 'externals6');
    bed.planner.setService(service('web', [vip[family]], web, { externalIPs: [external[family]] }));
    bed.sync();
    assert.doesNotMatch(taken(), /elements/, 'off by default');
    bed.planner.setNode({ ...serviceNode, externalIpCidrs: [Prefix.all(family)] });
    bed.sync();
    assert.match(taken(), new RegExp(`elements = { ${external[family]} }`));
    assert.equal((await bed.ask('outside', external[family], 80)).who, 'b');
    const others = {
      ipv4: [nodeIp.ipv4, '127.0.0.1', '169.254.169.254', '224.0.0.5', '0.0.0.0', podAddress('c', 'ipv4'), '10.96.0.10'],
      ipv6: [nodeIp.ipv6, '::1', 'fe80::1', 'ff02::5', '::', podAddress('c', 'ipv6'), 'fd00:96::10'],
    };
    bed.planner.setService(service('web', [vip[family]], web, { externalIPs: others[family] }));
    bed.sync();
    assert.doesNotMatch(taken(), /elements/);
  });

  test(`SD24 (${family}): a connection by a load balancer's address outlives the address`, needsRoot, async () => {
    await using bed = await bedWith(family, ['b']);
    bed.planner.setService(loadBalancer(family));
    bed.planner.setSlice(slice('web', family, ['b']));
    bed.sync();
    const socket = await bed.connect('outside', balanced[family], 80);
    await once(socket, 'data');
    bed.planner.setService(service('web', [vip[family]], [{ port: 80, protocol: 'TCP' }]));
    bed.sync();
    socket.write('hello');
    assert.equal(String((await once(socket, 'data'))[0]), 'b again hello');
    socket.destroy();
  });
}
