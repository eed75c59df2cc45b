import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { families } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { refused, unanswered } from './testkit/outcomes.ts';
import { outsideAddress, podAddress, service, serviceNode, slice, Testbed } from './testkit/testbed.ts';

const vip = { ipv4: '10.96.0.1', ipv6: 'fd00:96::1' };
const unallocated = { ipv4: '10.96.7.7', ipv6: 'fd00:96::77' };
const nodeIp = { ipv4: String(serviceNode.addresses[0]), ipv6: String(serviceNode.addresses[1]) };
const web = [{ name: '', port: 80, protocol: 'TCP', nodePort: 30080 }];

async function serve(bed: Testbed, family: 'ipv4' | 'ipv6', pods: readonly string[]): Promise<void> {
  for (const pod of pods) await bed.serveTcp(pod, family, 8080);
}

for (const family of families) {
  test(
    `SD2, SD3 (${family}): connections of pods and of the node spread over all endpoints, and a pod's address is kept`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      await serve(bed, family, ['b', 'c', 'far']);
      bed.planner.setService(service('web', [vip[family]], web));
      bed.planner.setSlice(slice('web', family, ['b', 'c', 'far']));
      bed.sync();
      for (const [from, source] of [
        ['a', podAddress('a', family)],
        ['node', nodeIp[family]],
      ] as const) {
        const counts = new Map<string, number>();
        for (let i = 0; i < 90; i++) {
          const { who, seen } = await bed.ask(from, vip[family], 80);
          assert.equal(seen, source, `${who} saw ${from}`);
          counts.set(who, (counts.get(who) ?? 0) + 1);
        }
        // 30 each are expected; fewer than 9 happen once in ten million runs.
        assert.deepEqual([...counts.keys()].sort(), ['b', 'c', 'far']);
        for (const count of counts.values()) assert.ok(count >= 9, `${from}: ${JSON.stringify([...counts])}`);
      }
    },
  );

  test(`SD4a (${family}): a pod that reaches itself through its Service sees the node asking`, needsRoot, async () => {
    await using bed = new Testbed();
    await serve(bed, family, ['a']);
    bed.planner.setService(service('web', [vip[family]], web));
    bed.planner.setSlice(slice('web', family, ['a']));
    bed.sync();
    assert.deepEqual(await bed.ask('a', vip[family], 80), { who: 'a', seen: nodeIp[family] });
    assert.deepEqual(await bed.ask('b', vip[family], 80), { who: 'a', seen: podAddress('b', family) });
  });

  test(
    `SD4c, SD4d, SD14 (${family}): a client outside reaches the node port and the ClusterIP, and pods see the node's address`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      await serve(bed, family, ['b', 'far']);
      bed.planner.setService(service('web', [vip[family]], web));
      bed.planner.setSlice(slice('web', family, ['b', 'far']));
      bed.sync();
      const seenFrom = new Set<string>();
      for (let i = 0; i < 20; i++) {
        for (const from of ['outside', 'a', 'node']) {
          const { who, seen } = await bed.ask(from, nodeIp[family], 30080);
          assert.equal(seen, nodeIp[family], `${from} to ${who}`);
          seenFrom.add(`${from} ${who}`);
        }
      }
      assert.equal(seenFrom.size, 6);
      const gateway = { ipv4: '203.0.113.1', ipv6: 'fd00:203::1' }[family];
      run(bed.outside.path, 'ip', 'route', 'add', vip[family], 'via', gateway);
      assert.equal((await bed.ask('outside', vip[family], 80)).seen, nodeIp[family]);
    },
  );

  test(
    `SD4e, SD7, SD8 (${family}): externalTrafficPolicy Local keeps the client's address, and drops where no endpoint is`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      await serve(bed, family, ['b', 'far']);
      bed.planner.setService(service('web', [vip[family]], web, { externalTrafficPolicy: 'Local' }));
      bed.planner.setSlice(slice('web', family, ['b', 'far']));
      bed.sync();
      const fromInside = new Set<string>();
      for (let i = 0; i < 20; i++) {
        assert.deepEqual(await bed.ask('outside', nodeIp[family], 30080), { who: 'b', seen: outsideAddress[family] });
        const { who, seen } = await bed.ask('a', nodeIp[family], 30080);
        assert.equal(seen, podAddress('a', family));
        fromInside.add(who);
      }
      assert.deepEqual([...fromInside].sort(), ['b', 'far'], 'a pod here gets the Cluster set');
      bed.planner.setSlice(slice('web', family, ['far']));
      bed.sync();
      await assert.rejects(bed.connect('outside', nodeIp[family], 30080, 300), unanswered);
      assert.equal((await bed.ask('a', nodeIp[family], 30080)).who, 'far');
      assert.deepEqual(await bed.ask('node', nodeIp[family], 30080), { who: 'far', seen: nodeIp[family] });
    },
  );

  test(`SD7 (${family}): internalTrafficPolicy Local goes to endpoints here only, and drops without one`, needsRoot, async () => {
    await using bed = new Testbed();
    await serve(bed, family, ['b', 'far']);
    bed.planner.setService(service('web', [vip[family]], web, { internalTrafficPolicy: 'Local' }));
    bed.planner.setSlice(slice('web', family, ['b', 'far']));
    bed.sync();
    for (let i = 0; i < 10; i++) assert.equal((await bed.ask('a', vip[family], 80)).who, 'b');
    bed.planner.setSlice(slice('web', family, ['far']));
    bed.sync();
    await assert.rejects(bed.connect('a', vip[family], 80, 300), unanswered);
    assert.equal((await bed.ask('outside', nodeIp[family], 30080)).who, 'far');
  });

  test(
    `SD6, SD12 (${family}): without endpoints and on undeclared ports the client is refused at once; other Service addresses stay silent`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      bed.planner.setService(service('web', [vip[family]], [...web, { name: 'u', port: 53, protocol: 'UDP', nodePort: 30053 }]));
      bed.sync();
      for (const from of ['a', 'node']) {
        for (const port of [80, 81]) {
          await assert.rejects(bed.connect(from, vip[family], port), refused, `${from} TCP ${port}`);
          await assert.rejects(bed.askUdp(from, vip[family], port), refused, `${from} UDP ${port}`);
        }
        await assert.rejects(bed.askUdp(from, vip[family], 53), refused, `${from} UDP 53`);
        await assert.rejects(bed.connect(from, unallocated[family], 80, 300), unanswered, `${from} to nobody`);
      }
      for (const from of ['a', 'node', 'outside']) {
        await assert.rejects(bed.connect(from, nodeIp[family], 30080), refused, `${from} node port`);
        await assert.rejects(bed.askUdp(from, nodeIp[family], 30053), refused, `${from} UDP node port`);
      }
    },
  );

  test(`SD1 (${family}): UDP, also datagrams larger than the MTU, which come in fragments`, needsRoot, async () => {
    await using bed = new Testbed();
    for (const pod of ['b', 'far']) bed.serveUdp(pod, family, 5353);
    bed.planner.setService(service('dns', [vip[family]], [{ port: 53, protocol: 'UDP', nodePort: 30053 }]));
    bed.planner.setSlice(slice('dns', family, ['b', 'far'], 5353, 'UDP'));
    bed.sync();
    for (const bytes of [10, 4000]) {
      for (const [from, address, port, seen] of [
        ['a', vip[family], 53, podAddress('a', family)],
        ['node', vip[family], 53, nodeIp[family]],
        ['outside', nodeIp[family], 30053, nodeIp[family]],
      ] as const) {
        const who = new Set<string>();
        for (let i = 0; i < 24; i++) {
          const [name = '', source, length] = (await bed.askUdp(from, address, port, bytes)).split(' ');
          assert.deepEqual([source, Number(length)], [seen, bytes], `${from} to ${name}`);
          who.add(name);
        }
        assert.deepEqual([...who].sort(), ['b', 'far']);
      }
    }
  });

  test(
    `SD24 (${family}): a connection lives on when its endpoint is taken from the Service, and while rules are replaced`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      await serve(bed, family, ['b', 'c']);
      bed.planner.setService(service('web', [vip[family]], web));
      bed.planner.setSlice(slice('web', family, ['b']));
      bed.sync();
      const socket = await bed.connect('a', vip[family], 80);
      await once(socket, 'data');
      bed.planner.setSlice(slice('web', family, ['c']));
      bed.sync();
      assert.equal((await bed.ask('a', vip[family], 80)).who, 'c');
      socket.write('hello');
      assert.equal(String((await once(socket, 'data'))[0]), 'b again hello');
      bed.planner.deleteService('default', 'web');
      bed.sync();
      socket.write('still');
      assert.equal(String((await once(socket, 'data'))[0]), 'b again still');
      socket.destroy();
      await assert.rejects(bed.connect('a', vip[family], 80, 300), unanswered);
    },
  );

  test(
    `(${family}): a pod's packets to the outside carry the node's address, those to other pods its own`,
    needsRoot,
    async () => {
      await using bed = new Testbed();
      await bed.serveTcp('outside', family, 9000);
      await bed.serveTcp('far', family, 9000);
      const uplink = { ipv4: '203.0.113.1', ipv6: 'fd00:203::1' }[family];
      assert.equal((await bed.ask('a', outsideAddress[family], 9000)).seen, uplink);
      assert.equal((await bed.ask('a', podAddress('far', family), 9000)).seen, podAddress('a', family));
    },
  );
}
