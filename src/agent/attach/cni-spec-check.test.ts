import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nodes } from '../../kube/resources.ts';
import { run } from '../../testing/judge.ts';
import { needsRoot } from '../../testing/root.ts';
import { failed, ok, podLinks } from '../testkit/cni-spec.ts';
import { eventually, TestNode } from '../testkit/node.ts';

for (const attach of ['routed', 'bridge'] as const)
  test(`CNI8, PC6: a pod from a former pod CIDR is well, and CHECK says so (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach });
    await node.startReady();
    const { ns, result, addresses } = await node.addPod('a');
    const addressesOfNode = ['192.0.2.1', '2001:db8::1'].map((address) => ({ type: 'InternalIP', address }));
    const podCIDRs = ['10.1.7.0/24', 'fd01:0:0:7::/64'];
    const me = { metadata: { name: 'me' }, spec: { podCIDR: podCIDRs[0]!, podCIDRs }, status: { addresses: addressesOfNode } };
    await node.api.update(Nodes, me);
    await eventually(() => assert.deepEqual(node.status().podCidrs, podCIDRs));
    await node.settled();
    const check = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: result } };
    assert.deepEqual(await node.cni(check), ok);
    for (const address of addresses) run(node.ns.path, 'ping', '-c1', '-W5', address);
    run(ns.path, 'ip', 'route', 'del', 'default');
    assert.match(failed(await node.cni(check), 102, 'CHECK'), /the default route via \S+ is gone/);
  });

for (const attach of ['routed', 'bridge'] as const)
  test(`CNI8: CHECK notices each thing that is missing, in the pod and on the node (${attach})`, needsRoot, async () => {
    await using node = await TestNode.make({ attach });
    await node.startReady();
    const { ns, result } = await node.addPod('a');
    const pod = ns.path;
    const check = { command: 'CHECK', containerId: 'a', netns: pod, config: { prevResult: result } };
    const link = podLinks(node)[0]!;
    assert.deepEqual(await node.cni(check), ok, 'right after ADD');
    const by = attach === 'bridge' ? 'cbr0' : link;
    const mac = '0a:58:0a:01:00:02';
    // What the node holds is mended by itself, so it is asked before the agent hears of the loss.
    const onNode: readonly (readonly [why: RegExp, ...command: string[]])[] = [
      [/10\.1\.0\.2\/32/, 'ip', 'route', 'del', '10.1.0.2/32', 'dev', by],
      [/fd01::2\/128/, 'ip', '-6', 'route', 'del', 'fd01::2/128', 'dev', by],
      [/10\.1\.0\.2/, 'ip', 'neigh', 'del', '10.1.0.2', 'dev', by],
      [/is down/, 'ip', 'link', 'set', link, 'down'],
    ];
    for (const [why, ...command] of onNode) {
      await eventually(async () => assert.deepEqual(await node.cni(check), ok));
      await node.settled();
      // So that the kernel is read for the next one.
      await new Promise((resolve) => setTimeout(resolve, 550));
      run(node.ns.path, ...(command as [string, ...string[]]));
      assert.match(failed(await node.cniAtOnce(check), 102, command.join(' ')), why);
    }
    await eventually(async () => assert.deepEqual(await node.cni(check), ok), 30_000);
    // The rules of the pod's door: the table has an owner, so that nobody else can take them away.
    const element = `{ "${by}" . ${mac} . 10.1.0.2 }`;
    assert.throws(
      () => run(node.ns.path, 'nft', 'delete', 'element', 'inet', 'podnet', 'door-guests4', element),
      /Operation not permitted/,
    );
    const inPod: readonly (readonly [why: RegExp, undo: readonly string[] | undefined, ...command: string[]])[] = [
      [/lost its address 10\.1\.0\.2/, undefined, 'ip', 'address', 'flush', 'dev', 'eth0', 'to', '10.1.0.2'],
      [/lost its address fd01::2/, undefined, 'ip', '-6', 'address', 'flush', 'dev', 'eth0', 'to', 'fd01::2'],
      [/the default route via .* is gone/, undefined, 'ip', '-6', 'route', 'del', 'default'],
      [/has the MAC 02:/, undefined, 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:09'],
      [/eth0 is down/, undefined, 'ip', 'link', 'set', 'eth0', 'down'],
      [/no interface eth0/, undefined, 'ip', 'link', 'del', 'eth0'],
    ];
    for (const [why, , ...command] of inPod) {
      run(pod, ...(command as [string, ...string[]]));
      assert.match(failed(await node.cni(check), 102, command.join(' ')), why);
    }
    assert.match(failed(await node.cni({ ...check, containerId: 'b' }), 102, 'no lease'), /container b has no lease for eth0/);
    assert.deepEqual(await node.cni({ command: 'DEL', containerId: 'a' }), ok);
    assert.match(failed(await node.cni(check), 102, 'its lease is gone'), /container a has no lease/);
  });

test(
  'CNI8: CHECK judges by prevResult: an address in it that is not leased, or a leased one that it lacks',
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { ns, result } = await node.addPod('a');
    const ask = async (change: Record<string, unknown>): Promise<string> => {
      const config = { prevResult: { ...result, ...change } };
      return failed(await node.cni({ command: 'CHECK', containerId: 'a', netns: ns.path, config }), 102, JSON.stringify(change));
    };
    const [ipv4, ipv6] = result.ips as { address: string }[];
    assert.match(
      await ask({ routes: [...(result.routes as unknown[]), { dst: '198.51.100.0/24' }] }),
      /no route to 198\.51\.100\.0\/24/,
    );
    run(ns.path, 'ip', 'route', 'add', '198.51.100.0/24', 'dev', 'eth0');
    run(ns.path, 'ip', 'address', 'add', '10.1.0.99/32', 'dev', 'eth0');
    const more = {
      ips: [...(result.ips as unknown[]), { address: '10.1.0.99/32', interface: 1 }],
      routes: [{ dst: '198.51.100.0/24' }],
    };
    const asked = { command: 'CHECK', containerId: 'a', netns: ns.path, config: { prevResult: { ...result, ...more } } };
    assert.deepEqual(await node.cni(asked), ok, 'what a later plugin added is there');
    assert.match(await ask({ ips: [ipv4] }), /prevResult does not have fd01::2/);
    assert.match(await ask({ ips: [ipv4, ipv6, { ...ipv4, address: '10.1.0.9/32' }] }), /10\.1\.0\.9/);
    assert.match(await ask({ interfaces: [(result.interfaces as unknown[])[0]] }), /no interface eth0/);
  },
);
